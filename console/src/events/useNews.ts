import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import type { EventFilter } from '../api/portcullis/v1/events_pb'
import { central } from '../central'

const again = 5_000
// A list that changes more often cannot be read, and central has to make it.
const pause = 500

// useNews tells whether events have come that the filter lets through, or puts them into the list itself
// while live is set.
export function useNews(filter: EventFilter, key: string, live: boolean) {
  const queries = useQueryClient()
  const [seen, setSeen] = useState({ key, news: false })
  const due = useRef<ReturnType<typeof setTimeout>>(undefined)
  const show = () => {
    due.current = undefined
    setSeen({ key, news: false })
    void queries.invalidateQueries({ queryKey: ['events', 'list'] })
  }
  const came = useEffectEvent(() => {
    if (!live) setSeen({ key, news: true })
    else due.current ??= setTimeout(show, pause)
  })
  const follow = useEffectEvent(async (signal: AbortSignal) => {
    // Central begins with headers. What came between the list and them is in nobody's stream.
    for await (const _ of central.events.followEvents({ filter }, { signal, onHeader: show })) came()
  })
  useEffect(() => {
    const stop = new AbortController()
    const keepFollowing = async () => {
      while (!stop.signal.aborted) {
        try {
          await follow(stop.signal)
        } catch {
          // The list itself says what is wrong.
        }
        await new Promise((resolve) => setTimeout(resolve, again))
      }
    }
    void keepFollowing()
    return () => {
      stop.abort()
      clearTimeout(due.current)
      due.current = undefined
    }
  }, [key])
  return { news: seen.key === key && seen.news, show }
}
