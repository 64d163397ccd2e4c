// The page: what it shows is what the server says, and what the person does goes to the server.

import * as api from "./api.js"
import { applyEvent, applyReceipt, emptyChat } from "./chat-state.js"
import { openEvents } from "./connection.js"
import { makeMessageView, setText } from "./message-view.js"
import { announcement, isBlank, isOpen, tooLong } from "./words.js"

const find = (id) => document.getElementById(id)
const text = find("text")
const sendButton = find("send")
const stopButton = find("stop")
const scroller = find("scroller")
const list = find("messages")

let chatId
let events
let messages = emptyChat
let views = new Map()
let announced
let known = false
let heardAt = performance.now()
let silent
let isDatabaseAway = false
let sending
let stopping
let swappedAt = -Infinity

// ---------------------------------------------------------------------------------------------
// showing
// ---------------------------------------------------------------------------------------------

const running = () => messages.findLast(({ state }) => state === "running")

const show = (next) => {
  // Whoever has scrolled up reads; they are not pulled down again.
  const follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60
  messages = next
  const mayRegenerate = running() === undefined
  for (const message of messages) viewOf(message).update(asKnown(message), { mayRegenerate })
  find("welcome").hidden = !known || messages.length > 0
  showButtons()
  announce()
  if (follow) scroller.scrollTop = scroller.scrollHeight
}

// From when the server went until it tells of the chat again, for which it needs the database, nobody
// knows whether it still writes: only when it last did.
const asKnown = (message) =>
  silent !== undefined && isOpen(message)
    ? { ...message, silence: Math.max(1, Math.floor((performance.now() - heardAt) / 1000)) }
    : message

const viewOf = (message) => {
  const present = views.get(message.messageId)
  if (present !== undefined) return present
  const view = makeMessageView(message, { onRegenerate: () => void regenerate(message.messageId) })
  views.set(message.messageId, view)
  list.append(view.root)
  return view
}

const showButtons = () => {
  // From the moment it is sent, before the server has said a word of it.
  const target = sending ?? running()
  if ((target === undefined) === sendButton.hidden) swappedAt = performance.now()
  stopButton.hidden = target === undefined
  stopButton.disabled = target !== undefined && target.runId === stopping
  sendButton.hidden = target !== undefined
  sendButton.disabled = !maySend()
  const tooMuch = tooLong(text.value.trim())
  find("too-long").hidden = tooMuch === undefined
  setText(find("too-long"), tooMuch ?? "")
}

const maySend = () => {
  const value = text.value.trim()
  return !isBlank(value) && tooLong(value) === undefined
}

const announce = () => {
  const last = messages.findLast(({ role }) => role === "assistant")
  const state = last === undefined ? undefined : `${last.messageId} ${last.runId} ${last.state}`
  if (state === announced) return
  // What was over before somebody looked is no news.
  const isNews = announced !== undefined || (last !== undefined && isOpen(last))
  announced = state
  if (last !== undefined && isNews) find("announcer").textContent = announcement(last)
}

const showProblem = (problem) => {
  find("problem").textContent = problem ?? ""
  find("problem").hidden = problem === undefined
}

const showReachable = (reachable) => {
  if (!reachable) silent ??= setInterval(() => show(messages), 1000)
  else if (silent === undefined) heardAt = performance.now()
  document.body.classList.toggle("unreachable", !reachable)
  const away = !reachable ? "server" : isDatabaseAway ? "database" : undefined
  setText(
    find("connection"),
    away === undefined ? "" : `The ${away} does not answer. Trying again…`
  )
  find("connection").hidden = away === undefined
}

const showDatabase = (answers) => {
  isDatabaseAway = !answers
  showReachable(true)
}

const fitText = () => {
  if (CSS.supports("field-sizing", "content")) return
  text.style.height = "auto"
  text.style.height = `${text.scrollHeight}px`
}

// ---------------------------------------------------------------------------------------------
// doing
// ---------------------------------------------------------------------------------------------

const send = async () => {
  const value = text.value.trim()
  if (!maySend() || sending !== undefined || running()) return
  const question = {
    questionId: api.newId("question"),
    messageId: api.newId("answer"),
    runId: api.newId("run"),
    text: value
  }
  text.value = ""
  fitText()
  scroller.scrollTop = scroller.scrollHeight
  await begin({ ...question, asked: api.ask(chatId, question) }, (error) => {
    text.value ||= value
    fitText()
    showProblem(`Not sent: ${error.message}`)
  })
}

const regenerate = async (messageId) => {
  if (sending !== undefined || running()) return
  const runId = api.newId("run")
  focusText()
  await begin({ messageId, runId, asked: api.regenerate(chatId, messageId, runId) }, (error) =>
    showProblem(`Not regenerated: ${error.message}`)
  )
}

// Until the page has seen the run that was asked for, nothing may look idle.
const begin = async (run, onRefused) => {
  showProblem()
  sending = run
  showButtons()
  try {
    await run.asked
    await seen(run)
  } catch (error) {
    onRefused(error)
  } finally {
    // In another chat, opened meanwhile, something else may be under way.
    if (sending === run) sending = undefined
    showButtons()
  }
}

const seen = ({ runId }) =>
  new Promise((resolve) => {
    const end = Date.now() + 2000
    const look = () =>
      messages.some((message) => message.runId === runId) || Date.now() > end
        ? resolve()
        : setTimeout(look, 10)
    look()
  })

const stop = async () => {
  const target = sending ?? running()
  if (target === undefined || stopping === target.runId) return
  stopping = target.runId
  showProblem()
  showButtons()
  try {
    // A stop may not overtake the question it is meant for.
    await target.asked
    const { receipts } = await api.stop(chatId, target)
    show(receipts.reduce(applyReceipt, messages))
  } catch (error) {
    stopping = undefined
    if (target.asked === undefined || running()) {
      showProblem(`The stop could not be asked. ${error.message} Press Stop again.`)
    }
  }
  showButtons()
  focusText()
}

// On a touch screen the focus would bring up the keyboard.
const focusText = () => {
  if (matchMedia("(hover: hover)").matches) text.focus({ preventScroll: true })
}

// ---------------------------------------------------------------------------------------------
// which chat
// ---------------------------------------------------------------------------------------------

// What the server would refuse as the id of a chat names none: the rule of the library's ids.
const readName = (encoded) => {
  try {
    const name = decodeURIComponent(encoded)
    return /^[^\p{C}\p{Zl}\p{Zp}"'`]{1,255}$/u.test(name) ? name : undefined
  } catch {
    return undefined
  }
}

const openChat = () => {
  const named = readName(location.hash.slice(1))
  chatId = named ?? readName(localStorage.getItem("chat") ?? "") ?? api.newId("chat")
  localStorage.setItem("chat", chatId)
  if (named !== chatId) history.replaceState(null, "", `#${encodeURIComponent(chatId)}`)
  events?.close()
  views = new Map()
  announced = undefined
  known = false
  isDatabaseAway = false
  sending = undefined
  list.replaceChildren()
  show(emptyChat)
  showProblem()
  events = openEvents(chatId, {
    onEvent: (event) => {
      if (event._tag === "Database") return showDatabase(event.answers)
      const next = applyEvent(messages, event)
      if (next === undefined) return events.reload()
      if (event._tag === "Chat") {
        forget(next)
        clearInterval(silent)
        silent = undefined
        showDatabase(true)
        known = true
      }
      show(next)
    },
    onReachable: showReachable
  })
  focusText()
}

const forget = (next) => {
  const ids = new Set(next.map(({ messageId }) => messageId))
  for (const [messageId, { root }] of views) {
    if (ids.has(messageId)) continue
    root.remove()
    views.delete(messageId)
  }
}

find("new-chat").addEventListener("click", () => {
  location.hash = api.newId("chat")
  focusText()
})
window.addEventListener("hashchange", openChat)

find("composer").addEventListener("submit", (event) => {
  event.preventDefault()
  // The second click of a double click on Stop, which was there a moment ago, sends nothing.
  if (performance.now() - swappedAt > 300) void send()
})
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
  event.preventDefault()
  void send()
})
text.addEventListener("input", () => {
  fitText()
  showButtons()
})
stopButton.addEventListener("click", ({ detail }) => {
  // The second click of a double click on Send does not stop what the first has sent.
  if (detail < 2 || performance.now() - swappedAt > 500) void stop()
})
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) void stop()
})
find("suggestions").addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLButtonElement) || sending !== undefined || running()) return
  text.value = target.textContent.trim()
  void send()
})

openChat()
