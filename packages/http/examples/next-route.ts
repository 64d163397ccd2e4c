// Stop in Next.js: app/api/chats/[...path]/route.ts
import { stops } from "./app.ts"

export const GET = (request: Request): Promise<Response> => stops.handler(request)

export const POST = (request: Request): Promise<Response> => stops.handler(request)
