import { toJsonString } from '@bufbuild/protobuf'
import { Alert, Button, Card, Table, type TableColumnsType } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { type Event, EventFilterSchema, EventOrder } from '../api/portcullis/v1/events_pb'
import { central } from '../central'
import { useFilters } from '../shared/filters'
import { PageHead } from '../shared/PageHead'
import { Pager, usePages } from '../shared/pages'
import { SeverityTag } from '../shared/SeverityTag'
import { Answer, Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { ActionTag } from './ActionTag'
import { EventFilters } from './EventFilters'
import { filterNames, toEventFilter } from './filter'
import { useNews } from './useNews'

const orders = {
  last: { ascend: EventOrder.LAST_TIME_ASC, descend: EventOrder.LAST_TIME_DESC },
  count: { ascend: EventOrder.COUNT_ASC, descend: EventOrder.COUNT_DESC },
}

function useColumns(): TableColumnsType<Event> {
  const { t, word, locale } = useText()
  const time = useTime()
  const plain = (key: 'registry' | 'node' | 'cluster' | 'namespace' | 'pod' | 'container') => ({ key, dataIndex: key, title: t(`events.${key}`) })
  return [
    { key: 'last', title: t('events.last'), sorter: true, render: (_, { id, lastTime }) => <Link to={`/events/${encodeURIComponent(id)}`}>{time(lastTime)}</Link> },
    { key: 'action', title: t('events.action'), render: (_, { action }) => <ActionTag action={action} /> },
    { key: 'type', title: t('events.type'), render: (_, { template }) => word('template', template) },
    { key: 'policy', title: t('events.policy'), render: (_, { policy }) => (policy ? <Link to={`/policies/${encodeURIComponent(policy)}`}>{policy}</Link> : t('events.noPolicy')) },
    { key: 'severity', title: t('events.severity'), render: (_, { severity }) => <SeverityTag severity={severity} /> },
    { key: 'image', title: t('events.image'), render: (_, { image, imageId }) => <span title={imageId}>{image}</span> },
    plain('namespace'),
    plain('pod'),
    plain('container'),
    plain('node'),
    plain('cluster'),
    plain('registry'),
    { key: 'first', title: t('events.first'), render: (_, { firstTime }) => time(firstTime) },
    { key: 'count', title: t('events.count'), sorter: true, align: 'right', render: (_, { count }) => count.toLocaleString(locale) },
  ]
}

export function EventsPage() {
  const { t } = useText()
  const columns = useColumns()
  const { filters, any, set, clear } = useFilters(filterNames)
  const [order, setOrder] = useState(EventOrder.LAST_TIME_DESC)
  const [now] = useState(() => new Date())
  const filter = toEventFilter(filters, now)
  const key = toJsonString(EventFilterSchema, filter)
  const pages = usePages(['events', 'list', key, order], (pageToken) => central.events.listEvents({ filter, order, pageToken, pageSize: 50 }))
  const { news, show } = useNews(filter, key)
  return (
    <>
      <PageHead title={t('app.events')} />
      <Card>
        <EventFilters filters={filters} set={set} />
        {news && <Alert type="info" showIcon title={t('events.live')} action={<Button onClick={show}>{t('events.show')}</Button>} style={{ marginBottom: 16 }} />}
        <Answer of={pages.query}>
          {({ events }) => (
            <Table
              rowKey="id"
              size="small"
              dataSource={events}
              columns={columns}
              loading={pages.query.isPlaceholderData}
              pagination={false}
              scroll={{ x: 'max-content' }}
              onChange={(_page, _filters, sorter) => {
                const { columnKey, order: direction } = Array.isArray(sorter) ? sorter[0]! : sorter
                setOrder(direction ? orders[columnKey as keyof typeof orders][direction] : EventOrder.LAST_TIME_DESC)
              }}
              locale={{ emptyText: any ? <Nothing says={t('shared.noMatch')}>{<Button onClick={clear}>{t('shared.clear')}</Button>}</Nothing> : <Nothing /> }}
            />
          )}
        </Answer>
        <Pager {...pages} />
      </Card>
    </>
  )
}
