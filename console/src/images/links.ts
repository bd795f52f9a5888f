export function imageURL(id: string) {
  return `/images/${encodeURIComponent(id)}`
}

// shortID is enough of an image's ID for people to tell it from others.
export function shortID(id: string) {
  return id.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1…')
}
