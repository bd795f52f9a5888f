// withReturn adds where on central the browser comes back to.
export function withReturn(url: string, path: string) {
  const target = new URL(url, window.location.origin)
  target.searchParams.set('return', path)
  return target.href
}

// channel is how the window of a login by OIDC tells the page that waits for it.
export const channel = 'portcullis.logged-in'
