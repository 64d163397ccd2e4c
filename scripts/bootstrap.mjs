// Runs one of our scripts with Node 24, on a machine that has only Node 20 and npm: installs what
// the workspace needs if the lock file or a package.json changed since the last install, then
// hands over. Plain JavaScript, because the Node that starts it runs no TypeScript.
//
//   node scripts/bootstrap.mjs <script> [arguments]
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import fs from "node:fs"
import { constants } from "node:os"
import path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const pnpm = "pnpm@12.21.0"
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const modules = path.join(root, "node_modules")
const stampFile = path.join(modules, ".installed")
// stands while an install runs; one that outlived its install says that it was interrupted
const lockFile = path.join(root, ".install-lock")
const unfinishedFile = path.join(modules, ".install-unfinished")
const node24 = path.join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node")

const say = (line) => process.stderr.write(`${line}\n`)

const workspaceFolders = () =>
  fs
    .readdirSync(path.join(root, "packages"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(root, "packages", entry.name))
    .sort()

/** What an install depends on. */
const wantedStamp = () => {
  const hash = createHash("sha256").update(`${pnpm} ${process.platform} ${process.arch}`)
  const manifests = [root, ...workspaceFolders()].map((folder) => path.join(folder, "package.json"))
  for (const name of ["pnpm-lock.yaml", "pnpm-workspace.yaml"])
    manifests.push(path.join(root, name))
  for (const file of manifests) {
    if (fs.existsSync(file))
      hash.update(`${path.relative(root, file)}\0`).update(fs.readFileSync(file))
  }
  return hash.digest("hex")
}

const isInstalled = () => {
  try {
    return fs.readFileSync(stampFile, "utf8") === wantedStamp() && fs.existsSync(node24)
  } catch {
    return false
  }
}

// ---------------------------------------------------------------------------------------------
// one install at a time
// ---------------------------------------------------------------------------------------------

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === "EPERM"
  }
}

/** A holder touches its lock every second; one that died or fell silent has lost it. */
const isAbandoned = (file) => {
  try {
    const age = Date.now() - fs.statSync(file).mtimeMs
    const pids = fs.readFileSync(file, "utf8").split(" ").map(Number)
    // an empty file is one whose writer has not written its pid yet
    return age > 300_000 || (age > 2_000 && !pids.some((pid) => pid > 0 && isAlive(pid)))
  } catch {
    return false
  }
}

const create = (file) => {
  try {
    fs.writeFileSync(file, String(process.pid), { flag: "wx" })
    return true
  } catch (error) {
    if (error.code === "EEXIST") return false
    throw error
  }
}

/** Removes an abandoned lock. Under a lock of its own, so that nobody removes a fresh one. */
const breakAbandonedLock = () => {
  const breaker = `${lockFile}-breaker`
  if (isAbandoned(breaker)) fs.rmSync(breaker, { force: true })
  if (!isAbandoned(lockFile) || !create(breaker)) return
  try {
    if (isAbandoned(lockFile)) fs.rmSync(lockFile, { force: true })
  } finally {
    fs.rmSync(breaker, { force: true })
  }
}

const acquireLock = async () => {
  let told = false
  while (!create(lockFile)) {
    breakAbandonedLock()
    if (!told && fs.existsSync(lockFile)) {
      told = true
      say("Waiting for another install in this folder ...")
    }
    await sleep(200)
  }
  const touch = setInterval(() => {
    const now = new Date()
    fs.utimes(lockFile, now, now, () => {})
  }, 1_000)
  return () => {
    clearInterval(touch)
    fs.rmSync(lockFile, { force: true })
  }
}

// ---------------------------------------------------------------------------------------------
// the install
// ---------------------------------------------------------------------------------------------

/** The PATH without our own node_modules: the install replaces what is in there. */
const outerPath = () =>
  (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => !folder.startsWith(root + path.sep) || !folder.includes("node_modules"))
    .join(path.delimiter)

const runInstall = () =>
  new Promise((resolve) => {
    const child = spawn("npx", ["--yes", pnpm, "install", "--frozen-lockfile"], {
      cwd: root,
      env: {
        ...process.env,
        PATH: outerPath(),
        // pnpm asks nothing
        CI: "true",
        npm_config_update_notifier: "false",
        // without a network npm would try for more than a minute
        npm_config_fetch_retry_mintimeout: "1000",
        npm_config_fetch_retry_maxtimeout: "5000"
      },
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
      // a group of its own, to end it as a whole
      detached: process.platform !== "win32"
    })
    // if we are killed, pnpm goes on, and holds the lock
    fs.writeFileSync(lockFile, `${process.pid} ${child.pid ?? ""}`)
    let output = ""
    child.stdout.on("data", (data) => (output += data))
    child.stderr.on("data", (data) => (output += data))
    let stoppedBy
    const stop = (signal) => {
      stoppedBy = signal
      try {
        if (process.platform === "win32" || child.pid === undefined) child.kill()
        else process.kill(-child.pid, "SIGTERM")
      } catch {
        // it has ended by itself
      }
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop)
    const end = (code) => {
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, stop)
      resolve({ code, output, stoppedBy })
    }
    child.on("error", (error) => {
      output += `${error.message}\n`
      end(1)
    })
    child.on("close", (code) => end(code ?? 1))
  })

const noNetwork = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT/

const install = async () => {
  const release = await acquireLock()
  try {
    // somebody else did it while we waited
    if (isInstalled()) return 0
    if (fs.existsSync(unfinishedFile)) {
      // nobody knows what an interrupted install left; pnpm's store makes a clean one cheap
      for (const folder of [root, ...workspaceFolders()]) {
        fs.rmSync(path.join(folder, "node_modules"), {
          recursive: true,
          force: true,
          maxRetries: 3
        })
      }
    }
    const wanted = wantedStamp()
    const start = Date.now()
    say("Installing what this needs from the npm registry (only now, and when it changes) ...")
    fs.mkdirSync(modules, { recursive: true })
    fs.rmSync(stampFile, { force: true })
    fs.writeFileSync(unfinishedFile, "")
    const { code, output, stoppedBy } = await runInstall()
    if (stoppedBy !== undefined) return 128 + constants.signals[stoppedBy]
    if (code !== 0) {
      if (noNetwork.test(output)) {
        say("No network: the npm registry cannot be reached. Run this again when it can.")
      } else {
        say(`${output}\nThe install failed (npx ${pnpm} install --frozen-lockfile).`)
      }
      return 1
    }
    const version = spawnSync(node24, ["--version"], { encoding: "utf8" }).stdout ?? ""
    if (!version.startsWith("v24.")) {
      say(`${output}\nThe install brought no Node 24 for ${process.platform} ${process.arch}.`)
      return 1
    }
    fs.rmSync(unfinishedFile)
    fs.writeFileSync(stampFile, wanted)
    say(`Installed in ${Math.round((Date.now() - start) / 1000)} s.`)
    return 0
  } finally {
    release()
  }
}

// ---------------------------------------------------------------------------------------------
// handing over
// ---------------------------------------------------------------------------------------------

// npm passes a SIGTERM on to the shell between it and us, which may die of it and tell nobody
const parentAtStart = process.ppid
const lostNpm = () =>
  process.env.npm_lifecycle_event !== undefined && process.ppid !== parentAtStart

// a process group is signalled by its negative id; Windows has none
const sign = process.platform === "win32" ? "" : "-"

// The script ends with us, even if we are killed.
const orphanGuard = `data:text/javascript,${encodeURIComponent(
  `process.on("disconnect",()=>process.kill(${sign}process.pid,"SIGTERM"));process.channel?.unref()`
)}`

const run = (script, args) =>
  new Promise((resolve) => {
    const child = spawn(node24, ["--import", orphanGuard, path.join(root, script), ...args], {
      cwd: root,
      env: {
        ...process.env,
        PATH: [path.join(modules, ".bin"), process.env.PATH ?? ""].join(path.delimiter)
      },
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      // A group of its own: on Ctrl-C the terminal signals everyone in our group and npm signals us
      // once more, but the script and what it started shall hear it once.
      detached: process.platform !== "win32"
    })
    child.channel?.unref()
    const heard = new Map()
    const forward = (signal) => {
      const now = Date.now()
      if (now - (heard.get(signal) ?? 0) < 500) return
      heard.set(signal, now)
      try {
        process.kill(Number(`${sign}${child.pid}`), signal)
      } catch {
        // it has ended by itself
      }
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward)
    const watch = setInterval(() => {
      if (!lostNpm()) return
      clearInterval(watch)
      forward("SIGTERM")
    }, 100)
    child.on("error", (error) => {
      say(error.message)
      resolve(1)
    })
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })

const [script, ...args] = process.argv.slice(2)
if (script === undefined) {
  say("usage: node scripts/bootstrap.mjs <script> [arguments]")
  process.exit(2)
}
const installed = isInstalled() ? 0 : await install()
process.exit(installed === 0 ? await run(script, args) : installed)
