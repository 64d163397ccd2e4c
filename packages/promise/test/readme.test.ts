// What the README shows as a file is that file.
import fs from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"

const root = path.join(import.meta.dirname, "..")
const readme = fs.readFileSync(path.join(root, "README.md"), "utf8")
const shown = Array.from(
  readme.matchAll(/^```ts (\S+)\n(.*?)^```$/gms),
  ([, file = "", text = ""]) => ({ file, text })
)

test.each(shown)("$file is shown as it is", ({ file, text }) => {
  expect(text).toBe(fs.readFileSync(path.join(root, file), "utf8"))
})

test("whole files are shown, and every file that is named is there", () => {
  expect(shown.length).toBeGreaterThan(0)
  const named = Array.from(
    readme.matchAll(/\]\(((?:examples|src)\/[^)]+)\)/g),
    ([, file = ""]) => file
  )
  expect(named.filter((file) => !fs.existsSync(path.join(root, file)))).toEqual([])
})

test("every link into the page leads to a heading", () => {
  const headings = Array.from(readme.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-")
  )
  const links = Array.from(readme.matchAll(/\]\(#([^)]+)\)/g), ([, link = ""]) => link)
  expect(links.filter((link) => !headings.includes(link))).toEqual([])
})
