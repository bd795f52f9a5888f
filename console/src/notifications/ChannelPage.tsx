import { Code, ConnectError } from '@connectrpc/connect'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Form } from 'antd'
import { useState } from 'react'
import { useNavigate, useParams } from 'react-router'
import { stringify } from 'yaml'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Channel } from '../api/portcullis/v1/notifications_pb'
import { central } from '../central'
import { Conflict } from '../shared/Conflict'
import { showProblems } from '../shared/formProblems'
import { PageHead } from '../shared/PageHead'
import { Answer, Failure, Needs, Nothing } from '../shared/states'
import { useLeaveGuard } from '../shared/useLeaveGuard'
import { useText } from '../text'
import { channelOf, newChannel, type Values, valuesOf } from './channel'
import { ChannelFields } from './ChannelFields'

async function find(name: string) {
  const { channels } = await central.notifications.listChannels({})
  return channels.find((channel) => channel.name === name) ?? null
}

// written is what two editors compare, without the secret.
function written(values: Values) {
  return stringify({ ...values, webhook: { url: values.webhook.url } })
}

function Edition({ channel }: { channel?: Channel }) {
  const { t } = useText()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const [changed, setChanged] = useState(false)
  const [theirs, setTheirs] = useState<Channel>()
  const leave = useLeaveGuard(changed)
  // What the form hides, such as the other kind of target, is kept too.
  const values = (): Values => form.getFieldsValue(true)
  const show = () => {
    void queries.invalidateQueries({ queryKey: ['notifications'] })
    leave.freely(() => navigate('/notifications'))
  }
  const save = useMutation({
    mutationFn: (revision: bigint) => central.notifications.putChannel({ channel: channelOf(values(), revision) }),
    onSuccess: () => {
      void message.success(t('shared.saved'))
      show()
    },
    onError: async (error) => {
      showProblems(form, error, 'channel')
      if (ConnectError.from(error).code === Code.Aborted) setTheirs((await find(values().name)) ?? undefined)
    },
  })
  const overwrite = () => {
    setTheirs(undefined)
    save.mutate(theirs!.revision)
  }
  return (
    <>
      <PageHead title={channel ? t('documents.edit', { name: channel.name }) : t('notifications.new')}>
        <Button type="primary" disabled={channel && !changed} loading={save.isPending} onClick={form.submit}>
          {channel ? t('shared.save') : t('shared.create')}
        </Button>
      </PageHead>
      {save.isError && !theirs && <Failure error={save.error} />}
      <Form form={form} name="channel" layout="vertical" requiredMark={false} initialValues={channel ? valuesOf(channel) : newChannel} onValuesChange={() => setChanged(true)} onFinish={() => save.mutate(channel?.revision ?? 0n)}>
        <ChannelFields isNew={!channel} />
      </Form>
      {theirs && <Conflict name={theirs.name} hint={t('notifications.theirs')} theirs={written(valuesOf(theirs))} mine={written(values())} onTheirs={show} onMine={overwrite} />}
      {leave.dialog}
    </>
  )
}

export function NewChannelPage() {
  return (
    <Needs role={Role.ADMIN}>
      <Edition />
    </Needs>
  )
}

export function ChannelPage() {
  const { name = '' } = useParams()
  const { t } = useText()
  // Asked once: what is edited does not change under the editor's hands.
  const query = useQuery({ queryKey: ['channel-to-edit', name], queryFn: () => find(name), staleTime: Infinity, gcTime: 0, refetchOnMount: 'always' })
  return (
    <Needs role={Role.ADMIN}>
      <Answer of={query}>{(channel) => (channel ? <Edition key={name} channel={channel} /> : <Nothing says={t('shared.notFound')} />)}</Answer>
    </Needs>
  )
}
