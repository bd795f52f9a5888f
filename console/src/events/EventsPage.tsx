import { DownloadOutlined } from '@ant-design/icons'
import { toJsonString } from '@bufbuild/protobuf'
import { Alert, Button, Card, Flex, Switch } from 'antd'
import { useState } from 'react'
import { EventFilterSchema } from '../api/portcullis/v1/events_pb'
import { central } from '../central'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { useText } from '../text'
import { ColumnChoice, useChosenColumns } from './ColumnChoice'
import { useColumns } from './columns'
import { EventFilters } from './EventFilters'
import { filterNames, toEventFilter, toSort } from './filter'
import { csvURL } from './links'
import { useNews } from './useNews'

function Live({ live, setLive }: { live: boolean; setLive: (live: boolean) => void }) {
  const { t } = useText()
  return (
    <Flex component="label" gap={8} align="center">
      <Switch checked={live} onChange={setLive} aria-label={t('events.live')} />
      {t('events.live')}
    </Flex>
  )
}

export function EventsPage() {
  const { t } = useText()
  const { filters, any, set, clear } = useFilters(filterNames)
  const { chosen, choose } = useChosenColumns()
  const [live, setLive] = useState(true)
  const [now] = useState(() => new Date())
  const { sort, order } = toSort(filters)
  const filter = toEventFilter(filters, now)
  const key = toJsonString(EventFilterSchema, filter)
  const columns = useColumns(chosen, sort)
  const pages = usePages(['events', 'list', key, order], (pageToken) => central.events.listEvents({ filter, order, pageToken, pageSize: 50 }))
  // Rows of a further page would move under the reader's eyes, and what is new is not among them.
  const { news, show } = useNews(filter, key, live && !pages.previous)
  const sortBy = (column: unknown, direction?: string | null) => {
    const by = column === 'count' ? 'count' : 'last_time'
    set({ sort: direction === 'ascend' ? [by] : by === 'count' ? ['-count'] : [] })
  }
  return (
    <>
      <PageHead title={t('app.events')}>
        <Live live={live} setLive={setLive} />
        <ColumnChoice chosen={chosen} choose={choose} />
        <Button icon={<DownloadOutlined />} href={csvURL(filter, sort)} download="events.csv">
          {t('events.csv')}
        </Button>
      </PageHead>
      <Card>
        <EventFilters filters={filters} set={set} />
        {news && <Alert type="info" showIcon title={t('events.news')} action={<Button onClick={show}>{t('events.show')}</Button>} style={{ marginBottom: 16 }} />}
        <List
          pages={pages}
          rows={({ events }) => events}
          rowKey="id"
          columns={columns}
          any={any}
          clear={clear}
          none={t('events.none')}
          onChange={(_page, _filters, sorter) => !Array.isArray(sorter) && sortBy(sorter.columnKey, sorter.order)}
        />
      </Card>
    </>
  )
}
