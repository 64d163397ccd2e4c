/**
 * How a statement or a transaction is carried out: tried again where another one was in the way,
 * and never longer in the driver's hands than its caller wants.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import { SqlClient, type SqlConnection, SqlError } from "effect/sql"
import type { Dialect } from "./dialect.ts"
import { makeTurns } from "./turns.ts"

/** Carries out one statement, or several as one. */
export interface Transactions {
  /** One statement that reads, tried again while the database is busy. */
  readonly read: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** One statement that writes, tried again while the database is busy. */
  readonly write: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError.SqlError, R>
  /** Several statements as one: all of them or none, and again from the start if another was in the way. */
  readonly transaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError.SqlError, R>
}

export const makeTransactions = (sql: SqlClient.SqlClient, dialect: Dialect): Transactions => {
  if (dialect.name === "sqlite") {
    // Not even the fiber's own budget suspends a transaction: nothing else of this process could
    // use the connection meanwhile, and no other process could write.
    const alone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(retry(effect), References.PreventSchedulerYield, true)
    // A read is quick, and `check` must not wait for its turn: it may be run synchronously.
    const turn = makeTurns()
    const write = <A, E, R>(effect: Effect.Effect<A, E, R>) => alone(Effect.andThen(turn, effect))
    return { read: alone, write, transaction: (effect) => write(sql.withTransaction(effect)) }
  }
  const within = interruptibleTransactions(sql)
  // A part of the application's own: with a savepoint, so that what fails here fails alone; and not
  // again, since what is in the way of a transaction stays in its way.
  const unlessOpen = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    alone: Effect.Effect<A, E | SqlError.SqlError, R>
  ) =>
    Effect.flatMap(Effect.serviceOption(sql.transactionService), (open) =>
      Option.isSome(open)
        ? Effect.andThen(seesWhatIsCommitted(sql), sql.withTransaction(effect))
        : alone
    )
  return {
    read: retry,
    write: (effect) => unlessOpen(effect, retry(effect)),
    transaction: (effect) => unlessOpen(effect, retry(brokenIsFailed(within(effect))))
  }
}

// One that sees what was there when it began finds no run that has started since: its stop would wait
// as a tombstone for a run that is there already.
const seesWhatIsCommitted = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(
    sql<{ readonly level: string }>`SELECT current_setting('transaction_isolation') AS level`,
    ([row]) =>
      row?.level === "read committed" || row?.level === "read uncommitted"
        ? Effect.void
        : Effect.fail(
            new SqlError.SqlError({
              reason: new SqlError.UnknownError({
                cause: new Error(
                  `stops and runs can be written only in a transaction that is READ COMMITTED, and this one is ${row?.level}`
                ),
                message: "The transaction does not see what others commit",
                operation: "begin"
              })
            })
          )
  )

/** Comes back while others are in the way, for four seconds at most. Wrap whole transactions in it. */
export const retry = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  // The schedule is set up only for who needs it: doing so takes as long as a statement.
  effect.pipe(
    Effect.catch((error) =>
      isInTheWay(error)
        ? Effect.delay(effect, "5 millis").pipe(
            Effect.retry({ schedule: backOff, while: isInTheWay })
          )
        : Effect.fail(error)
    )
  )

// Locked by another process, or chosen as the victim of a deadlock: the same may work in a moment.
const isInTheWay = (error: unknown): boolean =>
  SqlError.isSqlError(error) &&
  (error.reason._tag === "LockTimeoutError" ||
    error.reason._tag === "DeadlockError" ||
    error.reason._tag === "SerializationError")

const backOff = Schedule.min([
  Schedule.exponential("5 millis"),
  Schedule.spaced("100 millis")
]).pipe(Schedule.jittered, Schedule.upTo({ duration: "4 seconds" }))

/*
 * The client's own `withTransaction` begins, commits and rolls back uninterruptibly: on a connection
 * that has frozen it would stay there until the operating system gives the connection up, which
 * takes a quarter of an hour. The driver closes a connection whose interrupted statement does not
 * answer within 5 seconds, so here the three can be interrupted, or take their time at most.
 */
const interruptibleTransactions = (sql: SqlClient.SqlClient) => {
  const control = (connection: SqlConnection.Connection, statement: string) =>
    Effect.asVoid(connection.executeUnprepared(statement, [], undefined))
  const rollback = (connection: SqlConnection.Connection) => atMost(control(connection, "ROLLBACK"))
  // Whoever is interrupted here may leave a connection in a transaction that nobody knows of: the
  // answer still came, or the statement was never sent. What runs on it next would be lost with it.
  // The client itself rolls back only what comes between the two.
  const orUndone = <E>(connection: SqlConnection.Connection, effect: Effect.Effect<void, E>) =>
    Effect.onError(Effect.interruptible(effect), () => Effect.ignore(rollback(connection)))
  return SqlClient.makeWithTransaction<SqlClient.TransactionConnection, SqlConnection.Connection>({
    transactionService: sql.transactionService,
    spanAttributes: [],
    acquireConnection: (restore) => restore(sql.reserve),
    // Each statement must see what was committed before it, whatever the server's default is.
    begin: (connection) =>
      Effect.andThen(
        orUndone(connection, control(connection, "BEGIN ISOLATION LEVEL READ COMMITTED")),
        orUndone(
          connection,
          control(connection, `SET LOCAL idle_in_transaction_session_timeout = ${patience}`)
        )
      ),
    commit: (connection) => orUndone(connection, commit(connection)),
    rollback,
    savepoint: (connection, id) => control(connection, `SAVEPOINT effect_cancellation_${id}`),
    releaseSavepoint: (connection, id) =>
      control(connection, `RELEASE SAVEPOINT effect_cancellation_${id}`),
    rollbackSavepoint: (connection, id) =>
      atMost(control(connection, `ROLLBACK TO SAVEPOINT effect_cancellation_${id}`))
  })
}

// A transaction in which something has failed is rolled back by its COMMIT, which is no error to the server.
const commit = (connection: SqlConnection.Connection) =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (answer) =>
    Predicate.hasProperty(answer, "command") && answer.command === "ROLLBACK"
      ? Effect.fail(
          new SqlError.SqlError({
            reason: new SqlError.UnknownError({
              cause: new Error("the server rolled back what was to be committed"),
              message: "COMMIT was answered by ROLLBACK",
              operation: "commit"
            })
          })
        )
      : Effect.void
  )

// In milliseconds. Between two statements there is nothing to wait for. A process that stands still
// there, or whose network is gone, has locks that others wait for: their starts, and the sweep that
// would call its runs lost.
const patience = 5000

// In fibers of their own, because the one that rolls back may itself be interrupted already.
const atMost = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<void, E> =>
  Effect.raceFirst(
    Effect.interruptible(Effect.asVoid(effect)),
    Effect.interruptible(Effect.sleep("5 seconds"))
  )

/**
 * With the connection gone the rollback fails too, and the client takes that for a defect, and with
 * it whatever the transaction had failed with.
 */
export const brokenIsFailed = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.catchCause(effect, (cause): Effect.Effect<never, E | SqlError.SqlError> => {
    const broken = cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
    const error = broken.find(SqlError.isSqlError)
    return error === undefined ? Effect.failCause(cause) : Effect.fail(error)
  })
