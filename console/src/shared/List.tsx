import { Button, Table, type TableProps } from 'antd'
import { useText } from '../text'
import { type Listed, Pager, type Pages } from './pages'
import { Answer, Nothing } from './states'

interface Props<Data extends Listed, Row extends object> extends Pick<TableProps<Row>, 'columns' | 'expandable' | 'onChange' | 'rowKey'> {
  pages: Pages<Data>
  rows: (data: Data) => Row[]
  // Whether a filter is set, and what takes it away.
  any: boolean
  clear: () => void
  // What to say where there is nothing though no filter is set.
  none?: string
}

// List shows one page of a list, the ways to the others, and what to do where a filter leaves nothing.
export function List<Data extends Listed, Row extends object>({ pages, rows, any, clear, none, ...table }: Props<Data, Row>) {
  const { t } = useText()
  const noMatch = (
    <Nothing says={t('shared.noMatch')}>
      <Button onClick={clear}>{t('shared.clear')}</Button>
    </Nothing>
  )
  return (
    <>
      <Answer of={pages.query}>
        {(data) => (
          <Table<Row>
            {...table}
            size="small"
            dataSource={rows(data)}
            loading={pages.query.isPlaceholderData}
            pagination={false}
            scroll={{ x: 'max-content' }}
            locale={{ emptyText: any ? noMatch : <Nothing says={none} /> }}
          />
        )}
      </Answer>
      <Pager {...pages} />
    </>
  )
}
