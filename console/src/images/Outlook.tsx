import { Alert, Card, Typography } from 'antd'
import { Link } from 'react-router'
import { Action } from '../api/portcullis/v1/events_pb'
import type { GetImageResponse } from '../api/portcullis/v1/images_pb'
import { policyURL } from '../policies/links'
import { useText } from '../text'

function Says({ action }: { action: Action }) {
  const { t } = useText()
  switch (action) {
    case Action.BLOCK:
      return <Alert type="error" showIcon title={t('images.wouldBlock')} />
    case Action.ALERT:
      return <Alert type="warning" showIcon title={t('images.wouldAlert')} />
    default:
      return <Alert type="success" showIcon title={t('images.wouldStart')} />
  }
}

// Outlook says what would happen if the image started now, and what each policy has to do with it.
export function Outlook({ of: { action, steps } }: { of: GetImageResponse }) {
  const { t } = useText()
  return (
    <Card title={t('images.outlook')} style={{ marginTop: 16 }}>
      <Says action={action} />
      {steps.length > 0 && (
        <ul style={{ marginBlock: 16, paddingInlineStart: 20, overflowWrap: 'anywhere' }}>
          {steps.map(({ policy, says }) => (
            <li key={policy}>
              <Link to={policyURL(policy)} style={{ textDecoration: 'underline' }}>
                {policy}
              </Link>{' '}
              {says}
            </li>
          ))}
        </ul>
      )}
      <Typography.Paragraph type="secondary" style={{ marginBlock: '8px 0' }}>
        {steps.length > 0 ? t('images.outlookHint') : t('images.noPolicy')}
      </Typography.Paragraph>
    </Card>
  )
}
