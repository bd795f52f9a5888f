import { useMutation } from '@tanstack/react-query'
import { Button, Form, Input } from 'antd'
import { central } from '../central'
import { Failure } from '../shared/states'
import { useText } from '../text'

interface Values {
  old: string
  next: string
}

export function ChangePasswordForm({ name, onChanged }: { name: string; onChanged: () => void }) {
  const { t } = useText()
  const [form] = Form.useForm<Values & { repeat: string }>()
  const change = useMutation({
    mutationFn: ({ old, next }: Values) => central.sessions.changePassword({ oldPassword: old, newPassword: next }),
    onSuccess: () => {
      form.resetFields()
      onChanged()
    },
  })
  const required = { required: true, message: t('session.required') }
  const same = {
    validator: async (_: unknown, value?: string) => {
      if (value && value !== form.getFieldValue('next')) throw new Error(t('session.differs'))
    },
  }
  return (
    <Form form={form} layout="vertical" requiredMark={false} onFinish={change.mutate} name="change-password">
      {change.isError && <Failure error={change.error} />}
      <input hidden readOnly autoComplete="username" value={name} />
      <Form.Item name="old" label={t('session.old')} rules={[required]}>
        <Input.Password autoComplete="current-password" maxLength={128} />
      </Form.Item>
      <Form.Item name="next" label={t('session.new')} rules={[required]} extra={t('session.newHint')}>
        <Input.Password autoComplete="new-password" maxLength={128} />
      </Form.Item>
      <Form.Item name="repeat" label={t('session.repeat')} dependencies={['next']} rules={[required, same]}>
        <Input.Password autoComplete="new-password" maxLength={128} />
      </Form.Item>
      <Button type="primary" htmlType="submit" loading={change.isPending}>
        {t('session.change')}
      </Button>
    </Form>
  )
}
