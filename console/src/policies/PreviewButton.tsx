import { Button, Modal } from 'antd'
import { useState } from 'react'
import { useText } from '../text'
import { Preview } from './Preview'

export function PreviewButton({ document, disabled }: { document: string; disabled: boolean }) {
  const { t } = useText()
  const [open, setOpen] = useState(false)
  return (
    <>
      <Button disabled={disabled} onClick={() => setOpen(true)}>
        {t('policies.preview')}
      </Button>
      <Modal open={open} width={900} title={t('policies.previewTitle')} footer={null} onCancel={() => setOpen(false)} destroyOnHidden>
        <Preview document={document} />
      </Modal>
    </>
  )
}
