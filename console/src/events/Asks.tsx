import { Card, Collapse, Flex } from 'antd'
import type { Ask, Event } from '../api/portcullis/v1/events_pb'
import { useText } from '../text'
import { splitAsks } from './asks'

function List({ asks }: { asks: Ask[] }) {
  return (
    <ul style={{ margin: 0, paddingInlineStart: 16 }}>
      {asks.map(({ parameter, detail }) => (
        <li key={parameter + detail}>
          <code>{parameter}</code> {detail}
        </li>
      ))}
    </ul>
  )
}

// Asks is what the container asked for; what says little about it is folded away.
export function Asks({ event }: { event: Event }) {
  const { t } = useText()
  if (event.asks.length === 0) return null
  const { beyond, rest } = splitAsks(event)
  return (
    <Card title={t('events.asks')} style={{ marginTop: 16 }}>
      <Flex vertical gap={12}>
        {beyond.length > 0 ? <List asks={beyond} /> : t('events.asksNothing')}
        {rest.length > 0 && <Collapse ghost size="small" items={[{ key: 'rest', label: t('events.asksRest', { count: rest.length }), children: <List asks={rest} /> }]} />}
      </Flex>
    </Card>
  )
}
