/**
 * What comes and goes in a process that lives long, in the order in which it came.
 *
 * Not a `Set`: in V8 the table of a `Set` or a `Map` that was outgrown leads on to the one that took its
 * place. Once such a table is old, whatever all later ones held lives until the next collection of the
 * whole heap; with runs that come and go that was most of their garbage.
 */

/** What can be on one roster at a time. */
export interface Listed<T> {
  previous: T | undefined
  next: T | undefined
  isListed: boolean
}

export interface Roster<T> {
  readonly all: () => ReadonlyArray<T>
  readonly size: () => number
  readonly add: (item: T) => void
  /** Whether it was there. */
  readonly remove: (item: T) => boolean
}

export const makeRoster = <T extends Listed<T>>(): Roster<T> => {
  let first: T | undefined
  let last: T | undefined
  let size = 0
  return {
    all: () => {
      const items: Array<T> = []
      for (let item = first; item !== undefined; item = item.next) items.push(item)
      return items
    },
    size: () => size,
    add: (item) => {
      if (item.isListed) return
      item.isListed = true
      item.previous = last
      if (last === undefined) first = item
      else last.next = item
      last = item
      size++
    },
    remove: (item) => {
      if (!item.isListed) return false
      item.isListed = false
      const { next, previous } = item
      if (previous === undefined) first = next
      else previous.next = next
      if (next === undefined) last = previous
      else next.previous = previous
      item.previous = undefined
      item.next = undefined
      size--
      return true
    }
  }
}
