// Who the person is: the switch in the corner, and the cookie by which the server knows.

const choices = Array.from(document.querySelectorAll("#people input"))

/** Who is chosen now. */
export const me = () => choices.find(({ checked }) => checked)?.value

/** What a person is called, as the switch has it. */
export const nameOf = (userId) =>
  choices.find(({ value }) => value === userId)?.labels[0].textContent ?? userId

/** Shows who one is; `onChange` is called when that changes, here or in another tab. */
export const openSwitch = (onChange) => {
  // Beside the cookie, because other tabs are told of it: a cookie may reach them later than the news.
  const remembered = () =>
    localStorage.getItem("user") ?? /(?:^|; )demo-user=([^;]*)/.exec(document.cookie)?.[1]
  const tellServer = () => {
    document.cookie = `demo-user=${me()}; path=/; max-age=31536000; samesite=strict`
  }
  const look = () => {
    const chosen = choices.find(({ value }) => value === remembered()) ?? choices[0]
    chosen.checked = true
    tellServer()
  }
  look()
  let known = me()

  const changed = () => {
    if (known === me()) return
    known = me()
    onChange()
  }
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      tellServer()
      localStorage.setItem("user", me())
      changed()
    })
  }
  for (const news of ["storage", "pageshow"]) {
    window.addEventListener(news, () => {
      look()
      changed()
    })
  }
}
