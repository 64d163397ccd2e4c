// Who may import whom, as data. An arrow that is not listed here is refused.

export interface PackageRule {
  /** its name on npm */
  readonly name: string
  /**
   * What its `src` may import, with everything below it. `effect` alone means the modules of effect
   * that are tagged stable; an unstable one is listed by its own path. `*` is everything.
   */
  readonly mayImport: ReadonlyArray<string>
  /** what its `src` may import only by `import()` */
  readonly mayImportDynamically?: ReadonlyArray<string>
}

const core = "effect-cancellation"

/** By folder under `packages`. */
export const rules: Readonly<Record<string, PackageRule>> = {
  cancellation: { name: core, mayImport: ["effect"] },
  testing: {
    name: "effect-cancellation-testing",
    mayImport: ["effect", "effect/testing", "vitest", "@effect/vitest", core]
  },
  sql: {
    name: "effect-cancellation-sql",
    mayImport: [
      "effect",
      "effect/sql",
      "effect/reactivity",
      "@effect/sql-pg",
      "node:sqlite",
      "node:crypto",
      core
    ]
  },
  redis: {
    name: "effect-cancellation-redis",
    mayImport: ["effect", "effect/persistence/Redis", "@redis/client", core]
  },
  http: {
    name: "effect-cancellation-http",
    mayImport: [
      "effect",
      "effect/ByteSize",
      "effect/encoding/Sse",
      "effect/http",
      "effect/http-api",
      "effect/persistence",
      core
    ]
  },
  chat: { name: "effect-cancellation-chat", mayImport: ["effect", "effect/ai", core] },
  unique: {
    name: "effect-cancellation-unique",
    mayImport: ["effect", "effect/ByteSize", "effect/http", core]
  },
  promise: {
    name: "effect-cancellation-promise",
    // what is not the core's or stable is in modules that are loaded at the first use
    mayImport: [
      "effect",
      "effect/http/FetchHttpClient",
      "effect/reactivity",
      "effect/sql",
      "@effect/sql-pg",
      core
    ],
    mayImportDynamically: [
      "effect-cancellation-sql",
      "effect-cancellation-redis",
      "effect-cancellation-http",
      "effect-cancellation-chat",
      "effect-cancellation-unique"
    ]
  },
  demo: { name: "effect-cancellation-demo", mayImport: ["*"] },
  benchmark: { name: "effect-cancellation-benchmark", mayImport: ["*"] }
}

/** No `src` imports these, whatever its rule says: they are for tests. */
export const onlyForTests: ReadonlyArray<string> = ["effect-cancellation-testing"]

/** The most lines a file in a `src` may have. */
export const maxLines = 320
