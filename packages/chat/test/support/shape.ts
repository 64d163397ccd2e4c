// What the two validators have in common: looking at JSON of unknown shape, and saying where it is wrong.

export type Json = Record<string, unknown>

/** Says what is wrong at a place. */
export type Complain = (path: string, what: string) => void

/** Runs a check and answers its complaints, each with its place. */
export const complaintsOf = (check: (complain: Complain) => void): ReadonlyArray<string> => {
  const complaints: Array<string> = []
  check((path, what) => {
    complaints.push(`${path}: ${what}`)
  })
  return complaints
}

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

/** Complains of fields that are not of the format, and of those that are missing. */
export const checkFields = (
  value: Json,
  path: string,
  fields: { readonly needed: ReadonlyArray<string>; readonly allowed?: ReadonlyArray<string> },
  complain: Complain
): void => {
  for (const name of fields.needed) {
    if (value[name] === undefined) complain(path, `lacks '${name}'`)
  }
  const known = [...fields.needed, ...(fields.allowed ?? [])]
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) complain(path, `has the unknown field '${name}'`)
  }
}

/** A value in a complaint. */
export const shown = (value: unknown): string =>
  `'${typeof value === "string" ? value : JSON.stringify(value)}'`

/** The things that stand there more than once. */
export const doubles = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  values.filter((value, index) => values.indexOf(value) !== index)
