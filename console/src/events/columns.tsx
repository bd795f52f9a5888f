import type { TableColumnType } from 'antd'
import { Link } from 'react-router'
import type { Event } from '../api/portcullis/v1/events_pb'
import { narrow } from '../shared/narrow'
import { SeverityTag } from '../shared/SeverityTag'
import { useTime } from '../shared/time'
import { type TextKey, useText } from '../text'
import { ActionTag } from './ActionTag'
import { withoutPolicy } from './evidence'
import { eventURL, nodeURL } from './links'
import { usePodStatus } from './usePodStatus'

export type ColumnName = keyof ReturnType<typeof useCells>

// usual are the columns that are shown until others are chosen.
export const usual: ColumnName[] = ['last', 'count', 'action', 'policy', 'severity', 'because', 'image', 'namespace', 'pod', 'node']

export const columnNames: ColumnName[] = [
  'last', 'count', 'first', 'action', 'type', 'policy', 'enforceAt', 'severity', 'because', 'image', 'imageID', 'registry', 'namespace', 'pod', 'podAddress', 'podStatus', 'container', 'operation', 'node',
  'nodeID', 'nodeAddresses', 'cluster',
]

function useCells() {
  const { t, word, locale } = useText()
  const time = useTime()
  const podStatus = usePodStatus()
  return {
    podStatus,
    last: ({ id, lastTime }: Event) => <Link to={eventURL(id)}>{time(lastTime)}</Link>,
    first: ({ firstTime }: Event) => time(firstTime),
    action: ({ action }: Event) => <ActionTag action={action} />,
    type: ({ template }: Event) => word('template', template),
    policy: ({ policy }: Event) => (policy ? <Link to={`/policies/${encodeURIComponent(policy)}`}>{policy}</Link> : t('events.noPolicy')),
    enforceAt: ({ enforceAt }: Event) => enforceAt && time(enforceAt),
    severity: ({ severity }: Event) => <SeverityTag severity={severity} />,
    because: ({ because, policy }: Event) => withoutPolicy(because, policy),
    image: ({ image, imageId }: Event) => (imageId ? <Link to={`/images/${encodeURIComponent(imageId)}`}>{image || imageId}</Link> : image),
    imageID: ({ imageId }: Event) => <code>{imageId}</code>,
    registry: ({ registry }: Event) => registry,
    namespace: ({ namespace }: Event) => namespace,
    pod: ({ pod }: Event) => pod,
    podAddress: ({ podAddress }: Event) => podAddress,
    container: ({ container }: Event) => container,
    operation: ({ operation }: Event) => operation,
    node: ({ node, nodeId }: Event) => (nodeId ? <Link to={nodeURL(nodeId)}>{node}</Link> : node),
    nodeID: ({ nodeId }: Event) => <code>{nodeId}</code>,
    nodeAddresses: ({ nodeAddresses }: Event) => nodeAddresses.join(', '),
    cluster: ({ cluster }: Event) => cluster,
    count: ({ count }: Event) => count.toLocaleString(locale),
  }
}

// Long texts are cut off; the details have them whole.
const widths: Partial<Record<ColumnName, number>> = { because: 210, image: 210, imageID: 200, registry: 170, namespace: 120, pod: 120, container: 120, node: 140, nodeAddresses: 140, cluster: 120, policy: 110 }

export function useColumnTitle() {
  const { t } = useText()
  return (name: ColumnName) => t(`events.${name}` as TextKey)
}

// useColumns gives the chosen columns; those that the list can be sorted by say how it is now.
export function useColumns(chosen: ColumnName[], sort: string): TableColumnType<Event>[] {
  const cells = useCells()
  const title = useColumnTitle()
  const sorted = { last: 'last_time', count: 'count' } as Partial<Record<ColumnName, string>>
  return columnNames
    .filter((name) => chosen.includes(name))
    .map((name) => ({
      key: name,
      title: title(name),
      render: (_, event) => cells[name](event),
      ...(widths[name] && narrow(widths[name])),
      align: name === 'count' ? 'right' : undefined,
      sorter: name in sorted,
      sortDirections: ['descend', 'ascend', 'descend'],
      sortOrder: sort === sorted[name] ? 'ascend' : sort === `-${sorted[name]}` ? 'descend' : null,
    }))
}
