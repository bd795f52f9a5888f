import { useEffect } from 'react'

// useTitle names the page in the browser's tabs and history.
export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Portcullis`
    return () => {
      document.title = 'Portcullis'
    }
  }, [title])
}
