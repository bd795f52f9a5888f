import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Form, Input, Modal, Select } from 'antd'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { showProblems } from '../shared/formProblems'
import { Failure } from '../shared/states'
import { useText } from '../text'

interface Values {
  description: string
  role: Role
  // Days from now.
  expireTime: number
}

const day = 24 * 60 * 60 * 1000

export function TokenForm({ onClose, onCreated }: { onClose: () => void; onCreated: (secret: string) => void }) {
  const { t, word } = useText()
  const { may } = useSession()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const create = useMutation({
    mutationFn: ({ description, role, expireTime }: Values) =>
      central.sessions.createToken({ description, role, expireTime: timestampFromDate(new Date(Date.now() + expireTime * day)) }),
    onSuccess: ({ secret }) => {
      onCreated(secret)
      onClose()
    },
    onError: (error) => showProblems(form, error),
    onSettled: () => queries.invalidateQueries({ queryKey: ['tokens'] }),
  })
  const roles = [Role.VIEWER, Role.EDITOR, Role.ADMIN].filter(may).map((role) => ({ value: role, label: word('role', String(role)) }))
  const days = [7, 30, 90, 180, 365].map((count) => ({ value: count, label: t('tokens.daysOf', { count }) }))
  return (
    <Modal open title={t('tokens.new')} okText={t('shared.create')} cancelText={t('shared.cancel')} okButtonProps={{ loading: create.isPending }} mask={{ closable: false }} onOk={form.submit} onCancel={onClose}>
      {create.isError && <Failure error={create.error} />}
      <Form form={form} name="token" layout="vertical" requiredMark={false} initialValues={{ description: '', role: Role.VIEWER, expireTime: 90 }} onFinish={create.mutate}>
        <Form.Item name="description" label={t('tokens.description')} extra={t('tokens.descriptionHint')} rules={[{ required: true, message: t('session.required') }]}>
          <Input maxLength={128} autoComplete="off" />
        </Form.Item>
        <Form.Item name="role" label={t('tokens.role')}>
          <Select options={roles} />
        </Form.Item>
        <Form.Item name="expireTime" label={t('tokens.days')}>
          <Select options={days} />
        </Form.Item>
      </Form>
    </Modal>
  )
}
