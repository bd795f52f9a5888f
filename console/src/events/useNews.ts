import { Code, ConnectError } from '@connectrpc/connect'
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { EventFilter } from '../api/portcullis/v1/events_pb'
import { central } from '../central'

const again = 5_000

// useNews tells whether events have come that the filter lets through. It does not put them into the list
// by itself: rows that move are hard to read and to click.
export function useNews(filter: EventFilter, key: string) {
  const queries = useQueryClient()
  const [seen, setSeen] = useState({ key, news: false })
  useEffect(() => {
    const stop = new AbortController()
    const follow = async () => {
      while (!stop.signal.aborted) {
        try {
          for await (const _ of central.events.followEvents({ filter }, { signal: stop.signal })) setSeen({ key, news: true })
        } catch (error) {
          // The list itself says what is wrong; only a central that is away may be back.
          if (ConnectError.from(error).code === Code.Unimplemented) return
        }
        await new Promise((resolve) => setTimeout(resolve, again))
      }
    }
    void follow()
    return () => stop.abort()
    // eslint-disable-next-line react/exhaustive-deps -- the key says all that the filter says
  }, [key])
  return {
    news: seen.key === key && seen.news,
    show() {
      setSeen({ key, news: false })
      void queries.invalidateQueries({ queryKey: ['events'] })
    },
  }
}
