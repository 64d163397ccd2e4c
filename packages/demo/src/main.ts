/**
 * `npm start`: serves the chat, on SQLite or on the PostgreSQL of `DATABASE_URL`.
 */
import { runDemo } from "./Demo.ts"
import { Settings } from "./Settings.ts"

runDemo(
  "Usage: npm start (serves the chat; PORT sets its port, DEMO_DATA the folder of its database, DATABASE_URL a PostgreSQL instead)",
  Settings.layer
)
