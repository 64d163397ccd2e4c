/**
 * What the types say of a group of ours in an API of the application's own.
 */
import type { HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

/** An API that has the group, below whatever prefix; else its argument must be the sentence. */
export type HasGroup<Groups, Id extends string, Sentence extends string> =
  Id extends HttpApiGroup.Identifier<Groups> ? unknown : Sentence

/** Middleware that the application has added to the group, beside ours, and what that needs. */
export type Further<Groups, Id extends string, Ours> =
  | Exclude<HttpApiEndpoint.Middleware<Endpoints<Groups, Id>>, Ours>
  | HttpApiEndpoint.MiddlewareServices<Endpoints<Groups, Id>>

type Endpoints<Groups, Id extends string> = HttpApiGroup.Endpoints<
  HttpApiGroup.WithIdentifier<Groups, Id>
>
