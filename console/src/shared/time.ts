import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt'
import { useText } from '../text'

// timeZone is the reader's, whose midnights part the days.
export const { timeZone } = Intl.DateTimeFormat().resolvedOptions()

// useTime gives the writing of a time in the reader's language and zone.
export function useTime() {
  const { t, locale } = useText()
  const format = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
  return (time?: Timestamp | Date) => (time ? format.format(time instanceof Date ? time : timestampDate(time)) : t('shared.never'))
}
