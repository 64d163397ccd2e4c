// One message on the page. Elements stay and their texts change, so nothing flickers or jumps.

import { me, nameOf } from "./people.js"
import { isOpen, stateInWords } from "./words.js"

const element = (name, className, ...children) => {
  const made = document.createElement(name)
  made.className = className
  made.append(...children)
  return made
}

// What people write may hold characters that turn the direction of writing: they turn this only.
const isolated = (name, className) => {
  const made = element(name, className)
  made.dir = "auto"
  return made
}

/** Makes the element of a message; `update` brings it up to date. */
export const makeMessageView = ({ role }, { onRegenerate }) => {
  const body = element("div", "body")
  const root = element("li", `message ${role}`, body)
  if (role === "user") {
    const author = element("span", "unseen")
    root.prepend(author)
    return {
      root,
      update: (message) => {
        const isTheirs = message.userId !== undefined && message.userId !== me()
        root.classList.toggle("theirs", isTheirs)
        author.className = isTheirs ? "author" : "unseen"
        setText(author, isTheirs ? nameOf(message.userId) : "You:")
        setText(textAt(body, 0), message.text)
      }
    }
  }

  const status = element("div", "status")
  const words = element("span", "words")
  const again = element("button", "quiet again", "Regenerate")
  again.type = "button"
  again.addEventListener("click", onRegenerate)
  const name = element("code", "name")
  status.append(element("span", "sign"), words, again, name)
  root.prepend(element("span", "unseen", "Assistant:"))
  root.append(status)

  return {
    root,
    update: (message, { mayRegenerate }) => {
      root.dataset.state = message.state
      root.setAttribute("aria-busy", String(isOpen(message)))
      updateBody(body, message)
      status.className = `status ${message.state} ${message.silence === undefined ? "" : "silent"}`
      setText(words, stateInWords(message))
      again.hidden = isOpen(message) || message.userId !== me()
      again.disabled = !mayRegenerate
      setText(name, message.messageId)
      name.title = `npm run stop -- ${message.messageId}`
    }
  }
}

// Text and tool lines in their order: a tool line stands where the text was when it began.
const updateBody = (body, message) => {
  let from = 0
  let index = 0
  for (const tool of message.tools) {
    setText(textAt(body, index++), message.text.slice(from, tool.at).trim())
    updateTool(toolAt(body, index++), tool, message)
    from = tool.at
  }
  setText(textAt(body, index++), message.text.slice(from).replace(/^\s+/, ""))
  while (body.children.length > index) body.lastElementChild.remove()
}

const updateTool = (line, tool, message) => {
  // Nobody runs a tool for a message that is over, whatever was saved last.
  const state = tool.state === "running" && !isOpen(message) ? "stopped" : tool.state
  line.className = `tool ${state}`
  setText(line.querySelector(".label"), tool.label)
  setText(line.querySelector(".outcome"), state === "stopped" ? "stopped" : (tool.result ?? ""))
}

const textAt = (body, index) => childAt(body, index, "text", () => isolated("div", "text"))

const toolAt = (body, index) =>
  childAt(body, index, "tool", () =>
    element(
      "div",
      "tool",
      element("span", "sign"),
      element("span", "words", isolated("span", "label"), element("span", "outcome"))
    )
  )

const childAt = (body, index, kind, make) => {
  const present = body.children[index]
  if (present?.classList.contains(kind)) return present
  const made = make()
  if (present === undefined) body.append(made)
  else present.replaceWith(made)
  return made
}

/** Changes a text only where it differs. */
export const setText = (target, text) => {
  if (target.textContent !== text) target.textContent = text
}
