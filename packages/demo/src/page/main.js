// The page: what it shows is what the server says, and what the person does goes to the server.

import * as api from "./api.js"
import { openedChat } from "./chat-name.js"
import { applyEvent, emptyChat, withReceipt } from "./chat-state.js"
import { openEvents } from "./connection.js"
import { makeMessageView, setText } from "./message-view.js"
import { openSwitch } from "./people.js"
import { watchReach } from "./reach.js"
import { refusalInWords, stopRun } from "./stopping.js"
import { announcement, isBlank, isOpen, tooLong } from "./words.js"

const find = (id) => document.getElementById(id)
const text = find("text")
const sendButton = find("send")
const stopButton = find("stop")
const scroller = find("scroller")
const list = find("messages")

let chatId
let events
let told = emptyChat
let messages = emptyChat
let receipts = new Map()
let views = new Map()
let announced
let known = false
let sending
let stopping
let refused
let swappedAt = -Infinity

// ---------------------------------------------------------------------------------------------
// showing
// ---------------------------------------------------------------------------------------------

const running = () => messages.findLast(({ state }) => state === "running")

// What can be stopped: from the moment it is sent, before the server has said a word of it.
const inHand = () => sending ?? running()

const show = (next = told) => {
  // Whoever has scrolled up reads; they are not pulled down again.
  const follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60
  told = next
  messages = told.map((message) => withReceipt(message, receipts.get(message.runId)))
  const mayRegenerate = running() === undefined
  for (const [index, message] of messages.entries()) {
    const { root, update } = viewOf(message)
    // Two people may write at the same time, and hear of each other's messages in another order.
    if (list.children[index] !== root) list.insertBefore(root, list.children[index] ?? null)
    update(reach.asKnown(message), { mayRegenerate })
  }
  find("welcome").hidden = !known || messages.length > 0
  // What was refused is of interest while there is something to stop.
  if (refused !== undefined && inHand()?.runId !== refused) showProblem()
  showButtons()
  announce()
  if (follow) scroller.scrollTop = scroller.scrollHeight
}

const reach = watchReach(() => show())

const viewOf = (message) => {
  const present = views.get(message.messageId)
  if (present !== undefined) return present
  const view = makeMessageView(message, { onRegenerate: () => void regenerate(message.messageId) })
  views.set(message.messageId, view)
  return view
}

const showButtons = () => {
  const target = inHand()
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
  refused = undefined
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
  if (!maySend() || inHand() !== undefined) return
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
  if (inHand() !== undefined) return
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
  const target = inHand()
  if (target === undefined || stopping === target.runId) return
  const { asked, messageId, runId } = target
  stopping = runId
  showProblem()
  showButtons()
  focusText()
  try {
    await stopRun(
      { asked, chatId, messageId, runId },
      {
        onReceipt: (receipt) => {
          receipts.set(runId, receipt)
          if (refused === runId) showProblem()
          show()
        },
        onRetry: ({ message }) => showRefusal(runId, `${message} Trying to stop it again…`)
      }
    )
  } catch (error) {
    if (stopping === runId) stopping = undefined
    showRefusal(runId, refusalInWords(error, target.userId))
    showButtons()
  }
}

const showRefusal = (runId, problem) => {
  if (inHand()?.runId !== runId) return
  showProblem(problem)
  refused = runId
}

// On a touch screen the focus would bring up the keyboard.
const focusText = () => {
  if (matchMedia("(hover: hover)").matches) text.focus({ preventScroll: true })
}

// ---------------------------------------------------------------------------------------------
// which chat
// ---------------------------------------------------------------------------------------------

const openChat = () => {
  chatId = openedChat()
  views = new Map()
  receipts = new Map()
  announced = undefined
  known = false
  sending = undefined
  list.replaceChildren()
  show(emptyChat)
  showProblem()
  listen()
  focusText()
}

const listen = () => {
  events?.close()
  events = openEvents(chatId, {
    onEvent: (event) => {
      if (event._tag === "Database") return reach.database(event.answers)
      const next = applyEvent(told, event)
      if (next === undefined) return events.reload()
      if (event._tag === "Chat") {
        forget(next)
        reach.told()
        known = true
      }
      show(next)
    },
    onReachable: reach.server
  })
}

// What was on its way is the other person's.
const changePerson = () => {
  sending = undefined
  stopping = undefined
  showProblem()
  show()
  listen()
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
  if (!(target instanceof HTMLButtonElement) || inHand() !== undefined) return
  text.value = target.textContent.trim()
  void send()
})

openSwitch(changePerson)
openChat()
