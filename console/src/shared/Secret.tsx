import { Alert, Button, Modal, Typography } from 'antd'
import { useText } from '../text'

// Secret shows a password or token that nobody can see a second time, so it does not close by accident.
export function Secret({ title, hint, secret, onClose }: { title: string; hint: string; secret: string; onClose: () => void }) {
  const { t } = useText()
  const footer = (
    <Button type="primary" onClick={onClose}>
      {t('shared.close')}
    </Button>
  )
  return (
    <Modal open title={title} closable={false} keyboard={false} mask={{ closable: false }} footer={footer}>
      <Alert type="warning" showIcon title={t('shared.once')} style={{ marginBottom: 16 }} />
      <p>{hint}</p>
      <Typography.Paragraph code copyable={{ text: secret }} style={{ overflowWrap: 'anywhere' }}>
        {secret}
      </Typography.Paragraph>
    </Modal>
  )
}
