import { Card, Form, Input, Radio, Select, Switch, Typography } from 'antd'
import { Action } from '../api/portcullis/v1/events_pb'
import { vocabulary } from '../policies/vocabulary'
import { useText } from '../text'
import type { Values } from './channel'

const wide = { style: { maxWidth: 560 } }

function WebhookFields({ isNew }: { isNew: boolean }) {
  const { t } = useText()
  return (
    <>
      <Form.Item name={['webhook', 'url']} label={t('notifications.url')} extra={t('notifications.urlHint')}>
        <Input {...wide} maxLength={2048} inputMode="url" />
      </Form.Item>
      <Form.Item name={['webhook', 'secret']} label={t('notifications.secret')} extra={<>{t('notifications.secretHint')} {!isNew && t('notifications.secretKept')}</>}>
        <Input.Password {...wide} maxLength={256} autoComplete="new-password" />
      </Form.Item>
    </>
  )
}

function SyslogFields() {
  const { t } = useText()
  const protocols = ['tls', 'tcp', 'udp'].map((value) => ({ value, label: value.toUpperCase() }))
  return (
    <>
      <Form.Item name={['syslog', 'address']} label={t('notifications.address')} extra={t('notifications.addressHint')}>
        <Input {...wide} maxLength={300} />
      </Form.Item>
      <Form.Item name={['syslog', 'protocol']} label={t('notifications.protocol')}>
        <Radio.Group aria-label={t('notifications.protocol')} options={protocols} />
      </Form.Item>
    </>
  )
}

function EventFields() {
  const { t, word } = useText()
  const actions = [
    { value: Action.BLOCK, label: t('events.block') },
    { value: Action.ALERT, label: t('events.alert') },
  ]
  const severities = vocabulary.severities.map((value) => ({ value, label: t('notifications.severe', { severity: word('severity', value) }) }))
  return (
    <>
      <Form.Item name="actions" label={t('notifications.actions')} extra={t('notifications.actionsHint')}>
        <Select {...wide} mode="multiple" allowClear options={actions} />
      </Form.Item>
      <Form.Item name="minSeverity" label={t('notifications.minSeverity')} extra={t('notifications.minSeverityHint')}>
        <Select {...wide} options={[{ value: '', label: t('notifications.anySeverity') }, ...severities]} />
      </Form.Item>
    </>
  )
}

function WindowFields() {
  const { t } = useText()
  const zones = ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')].map((value) => ({ value, label: value }))
  return (
    <>
      <Typography.Paragraph type="secondary">{t('notifications.windowHint')}</Typography.Paragraph>
      <Form.Item name="windowFrom" label={t('notifications.from')}>
        <Input type="time" style={{ width: 160 }} />
      </Form.Item>
      <Form.Item name="windowTo" label={t('notifications.to')}>
        <Input type="time" style={{ width: 160 }} />
      </Form.Item>
      <Form.Item name="timeZone" label={t('notifications.timeZone')}>
        <Select {...wide} showSearch options={zones} />
      </Form.Item>
    </>
  )
}

// ChannelFields is the form of a channel. The name of one that exists is fixed: it says which one it is.
export function ChannelFields({ isNew }: { isNew: boolean }) {
  const { t } = useText()
  const target = Form.useWatch<Values['target']>('target')
  const targets = (['webhook', 'syslog'] as const).map((value) => ({ value, label: t(`notifications.${value}`) }))
  return (
    <>
      <Card title={t('notifications.target')} size="small" style={{ marginBottom: 16 }}>
        <Form.Item name="name" label={t('notifications.name')}>
          <Input {...wide} maxLength={128} disabled={!isNew} />
        </Form.Item>
        <Form.Item name="enabled" label={t('notifications.enabled')} valuePropName="checked">
          <Switch />
        </Form.Item>
        <Form.Item name="target" label={t('notifications.target')}>
          <Radio.Group aria-label={t('notifications.target')} options={targets} />
        </Form.Item>
        {target === 'syslog' ? <SyslogFields /> : <WebhookFields isNew={isNew} />}
      </Card>
      <Card title={t('notifications.events')} size="small" style={{ marginBottom: 16 }}>
        <EventFields />
      </Card>
      <Card title={t('notifications.window')} size="small">
        <WindowFields />
      </Card>
    </>
  )
}
