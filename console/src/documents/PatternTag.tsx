import { useQuery } from '@tanstack/react-query'
import { Tag } from 'antd'
import { central } from '../central'
import { useText } from '../text'
import { searchOf, selects } from './patterns'

// countImages says how many known images a pattern selects, and whether there may be more.
async function countImages(pattern: string) {
  const { images, nextPageToken } = await central.images.listImages({ search: searchOf(pattern), pageSize: 200 })
  return { count: images.filter((image) => selects(pattern, image)).length, more: nextPageToken !== '' }
}

interface Props {
  pattern: string
  closable: boolean
  onClose: () => void
}

// PatternTag is a chosen pattern with how many known images it selects: one that selects none stops nothing.
export function PatternTag({ pattern, closable, onClose }: Props) {
  const { t } = useText()
  const { data } = useQuery({ queryKey: ['images', 'selected', pattern], queryFn: () => countImages(pattern), staleTime: 60_000 })
  const none = data?.count === 0 && !data.more
  const says = () => {
    if (none) return t('documents.selectsNone')
    return data && data.count > 0 ? t(data.more ? 'documents.selectsAtLeast' : 'documents.selects', { count: data.count }) : ''
  }
  return (
    // The select would open where the tag is pressed.
    <Tag color={none ? 'gold' : undefined} closable={closable} onClose={onClose} onMouseDown={(event) => event.preventDefault()} style={{ whiteSpace: 'normal', overflowWrap: 'anywhere', margin: 2 }}>
      {pattern}
      {data && says() && ` · ${says()}`}
    </Tag>
  )
}
