/**
 * What an operator watches, as metric values: read them, tag them, or export them with any exporter.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

// Upper bounds in milliseconds, from a push within one machine to a stop found after an outage.
const boundaries = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000]

/**
 * How many runs this process watches now.
 *
 * @category metrics
 * @since 0.1.0
 */
export const runsWatched = Metric.gauge("effect_cancellation_runs_watched", {
  description: "Runs watched now"
})

/**
 * How many watched runs the last look did not reach: a stop for one of them is not seen.
 *
 * @category metrics
 * @since 0.1.0
 */
export const blindRuns = Metric.gauge("effect_cancellation_blind_runs", {
  description: "Watched runs that the last look did not reach"
})

/**
 * Stops detected, by `detected_by` (`check`, `poll`, `hint`, `start`, `local`).
 *
 * @category metrics
 * @since 0.1.0
 */
export const stopsDetected = Metric.counter("effect_cancellation_stops_detected", {
  description: "Stops detected, by way of detection",
  incremental: true
})

/**
 * Milliseconds from the request of a stop to its detection, both by the store's clock.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requestToDetection = Metric.histogram("effect_cancellation_request_to_detection", {
  description: "Milliseconds from the request of a stop to its detection, by the store's clock",
  boundaries
})

/**
 * Milliseconds from the detection of a stop to the end of the work, finalizers included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const detectionToEnd = Metric.histogram("effect_cancellation_detection_to_end", {
  description: "Milliseconds from the detection of a stop to the end of the work",
  boundaries
})

/**
 * Reads of the store: ticks, first looks, looks after hints, and checks.
 *
 * @category metrics
 * @since 0.1.0
 */
export const reads = Metric.counter("effect_cancellation_reads", {
  description: "Reads of the store",
  incremental: true
})

/**
 * Reads of the store that failed or took longer than `pollTimeout`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const failedReads = Metric.counter("effect_cancellation_failed_reads", {
  description: "Reads of the store that failed or took too long",
  incremental: true
})

/**
 * Work that was given up after its `gracePeriod` and has not ended yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const abandonedWork = Metric.gauge("effect_cancellation_abandoned_work", {
  description: "Work given up after its grace period and still running"
})

/**
 * Last writes (observed, outcome) that did not arrive within `finalWriteTimeout`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const lastWritesGivenUp = Metric.counter("effect_cancellation_last_writes_given_up", {
  description: "Last writes that did not arrive in time",
  incremental: true
})
