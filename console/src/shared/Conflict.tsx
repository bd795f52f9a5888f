import { Button, Modal } from 'antd'
import { useText } from '../text'
import { Diff } from './Diff'

interface Props {
  name: string
  hint: string
  theirs: string
  mine: string
  onTheirs: () => void
  onMine: () => void
}

// Conflict is shown when somebody else saved what is being edited.
export function Conflict({ name, hint, theirs, mine, onTheirs, onMine }: Props) {
  const { t } = useText()
  const footer = [
    <Button key="theirs" onClick={onTheirs}>
      {t('shared.takeTheirs')}
    </Button>,
    <Button key="mine" danger type="primary" onClick={onMine}>
      {t('shared.keepMine')}
    </Button>,
  ]
  return (
    <Modal open width={900} closable={false} mask={{ closable: false }} title={t('shared.conflict', { name })} footer={footer}>
      <p>{hint}</p>
      <Diff before={theirs} after={mine} />
    </Modal>
  )
}
