import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button, Card, Table, type TableColumnsType } from 'antd'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Report } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { actorName } from '../shared/actors'
import { describe } from '../shared/errors'
import { Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { Wide } from '../shared/Wide'
import { useText } from '../text'

function DeleteButton({ report: { id, format, scanTime } }: { report: Report }) {
  const { t } = useText()
  const time = useTime()
  const { modal, message } = App.useApp()
  const queries = useQueryClient()
  const remove = useMutation({
    mutationFn: () => central.images.deleteReport({ id }),
    onError: (error) => void message.error(describe(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: ['images'] }),
  })
  const name = t('images.reportOf', { format, time: time(scanTime) })
  const ask = () =>
    modal.confirm({
      title: t('images.deleteAsk', { name }),
      content: t('images.deleteHint'),
      okText: t('shared.delete'),
      okButtonProps: { danger: true },
      cancelText: t('shared.cancel'),
      onOk: () => remove.mutate(),
    })
  return (
    <Button danger size="small" autoInsertSpace={false} loading={remove.isPending} aria-label={t('images.deleteName', { name })} onClick={ask}>
      {t('shared.delete')}
    </Button>
  )
}

function useColumns(): TableColumnsType<Report> {
  const { t, locale } = useText()
  const time = useTime()
  const { may } = useSession()
  const size = new Intl.NumberFormat(locale, { style: 'unit', unit: 'kilobyte', maximumFractionDigits: 0 })
  const columns: TableColumnsType<Report> = [
    { key: 'format', title: t('images.format'), dataIndex: 'format' },
    { key: 'scanner', title: t('images.scanner'), dataIndex: 'scanner' },
    { key: 'scanTime', title: t('images.scanTime'), render: (_, { scanTime }) => time(scanTime) },
    { key: 'uploaded', title: t('images.uploadTime'), render: (_, { uploadTime, uploadedBy }) => t('images.by', { time: time(uploadTime), name: actorName(uploadedBy) }) },
    { key: 'size', title: t('images.size'), align: 'right', render: (_, { sizeBytes }) => size.format(Math.ceil(Number(sizeBytes) / 1000)) },
  ]
  return may(Role.EDITOR) ? [...columns, { key: 'delete', render: (_, report) => <DeleteButton report={report} /> }] : columns
}

// Reports are those that may be about the image.
export function Reports({ reports }: { reports: Report[] }) {
  const { t } = useText()
  const columns = useColumns()
  return (
    <Card title={t('images.reports')} style={{ marginTop: 16 }}>
      <Wide label={t('images.reports')}>
        <Table rowKey="id" size="small" dataSource={reports} columns={columns} pagination={false} locale={{ emptyText: <Nothing says={t('images.noReports')} /> }} />
      </Wide>
    </Card>
  )
}
