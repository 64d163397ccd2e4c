/**
 * `npm start`: serves the chat, on SQLite or on the PostgreSQL of `DATABASE_URL`.
 */
import { runDemo } from "./Demo.ts"
import { Settings } from "./Settings.ts"
import { usage } from "./Usage.ts"

runDemo(
  usage("Usage: npm start (serves the chat)", [
    "PORT",
    "DEMO_DATA",
    "DATABASE_URL",
    "DEMO_ON_DISCONNECT",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL"
  ]),
  Settings.layer
)
