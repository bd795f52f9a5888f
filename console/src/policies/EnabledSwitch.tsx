import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Descriptions, Modal, Switch, Tooltip } from 'antd'
import { useState } from 'react'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Policy } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { Failure } from '../shared/states'
import { useText } from '../text'
import { Preview } from './Preview'

// Loss is what switching a policy off gives up.
function Loss({ policy: { blocked, alerted } }: { policy: Policy }) {
  const { t } = useText()
  return (
    <>
      <p>{t('policies.switchOffHint')}</p>
      <Descriptions items={[{ key: 'hits', label: t('policies.hits'), children: t('policies.hitsOf', { blocked: Number(blocked), alerted: Number(alerted) }) }]} />
    </>
  )
}

// EnabledSwitch switches a policy after it has shown what comes of it.
export function EnabledSwitch({ policy }: { policy: Policy }) {
  const { t, word } = useText()
  const { may } = useSession()
  const [asking, setAsking] = useState(false)
  const queries = useQueryClient()
  const { name, enabled, revision, document } = policy
  const flip = useMutation({
    mutationFn: () => central.policies.setPolicyEnabled({ name, enabled: !enabled, revision }),
    onSuccess: () => setAsking(false),
    onSettled: () => queries.invalidateQueries({ queryKey: ['policies'] }),
  })
  const editor = may(Role.EDITOR)
  return (
    <>
      <Tooltip title={editor ? undefined : t('shared.needs', { role: word('role', String(Role.EDITOR)) })}>
        <Switch checked={enabled} disabled={!editor} aria-label={t('policies.switch', { name })} onChange={() => setAsking(true)} />
      </Tooltip>
      <Modal
        open={asking}
        width={800}
        title={enabled ? t('policies.switchOff', { name }) : t('policies.switchOn', { name })}
        okText={enabled ? t('policies.off') : t('policies.on')}
        cancelText={t('shared.cancel')}
        okButtonProps={{ danger: enabled, loading: flip.isPending }}
        onOk={() => flip.mutate()}
        onCancel={() => setAsking(false)}
        destroyOnHidden
      >
        {flip.isError && <Failure error={flip.error} />}
        {enabled ? <Loss policy={policy} /> : <Preview document={document} />}
      </Modal>
    </>
  )
}
