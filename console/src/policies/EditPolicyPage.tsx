import { Code, ConnectError } from '@connectrpc/connect'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Modal } from 'antd'
import { useState } from 'react'
import { useNavigate, useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Policy } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { actorName } from '../shared/actors'
import { problemsOf } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Answer, Failure, Needs } from '../shared/states'
import { useLeaveGuard } from '../shared/useLeaveGuard'
import { useText } from '../text'
import { Diff } from '../shared/Diff'
import { policyURL } from './links'
import { PolicyForm } from './PolicyForm'
import { PreviewButton } from './PreviewButton'
import { useDraft } from './useDraft'

interface ConflictProps {
  mine: string
  newest: Policy
  onTheirs: () => void
  onMine: () => void
}

function Conflict({ mine, newest, onTheirs, onMine }: ConflictProps) {
  const { t } = useText()
  const footer = [
    <Button key="theirs" onClick={onTheirs}>
      {t('policies.takeTheirs')}
    </Button>,
    <Button key="mine" danger type="primary" onClick={onMine}>
      {t('policies.keepMine')}
    </Button>,
  ]
  return (
    <Modal open width={900} closable={false} mask={{ closable: false }} title={t('policies.conflict')} footer={footer}>
      <p>{t('policies.conflictHint', { name: actorName(newest.updatedBy) })}</p>
      <Diff before={newest.document} after={mine} />
    </Modal>
  )
}

function Edition({ policy }: { policy: Policy }) {
  const { t } = useText()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const editor = useDraft(policy.document)
  const leave = useLeaveGuard(editor.changed)
  const [newest, setNewest] = useState<Policy>()
  const show = () => {
    void queries.invalidateQueries({ queryKey: ['policies'] })
    leave.freely(() => navigate(policyURL(policy.name)))
  }
  const save = useMutation({
    mutationFn: (revision: bigint) => central.policies.updatePolicy({ document: editor.draft.text, revision }),
    onSuccess: () => {
      void message.success(t('policies.saved'))
      show()
    },
    onError: async (error) => {
      if (ConnectError.from(error).code === Code.Aborted) setNewest((await central.policies.getPolicy({ name: policy.name })).policy)
    },
  })
  const overwrite = () => {
    setNewest(undefined)
    save.mutate(newest!.revision)
  }
  return (
    <>
      <PageHead title={t('policies.editTitle', { name: policy.name })}>
        <PreviewButton document={editor.draft.text} disabled={editor.broken} />
        <Button type="primary" disabled={editor.broken || !editor.changed} loading={save.isPending} onClick={() => save.mutate(policy.revision)}>
          {t('shared.save')}
        </Button>
      </PageHead>
      {save.isError && !newest && <Failure error={save.error} />}
      <PolicyForm editor={editor} fixedName problems={problemsOf(save.error)} />
      {newest && <Conflict mine={editor.draft.text} newest={newest} onTheirs={show} onMine={overwrite} />}
      {leave.dialog}
    </>
  )
}

export function EditPolicyPage() {
  const { name = '' } = useParams()
  // Asked once: what is edited does not change under the editor's hands.
  const query = useQuery({ queryKey: ['policy-to-edit', name], queryFn: () => central.policies.getPolicy({ name }), staleTime: Infinity, gcTime: 0, refetchOnMount: 'always' })
  return (
    <Needs role={Role.EDITOR}>
      <Answer of={query}>{({ policy }) => <Edition key={name} policy={policy!} />}</Answer>
    </Needs>
  )
}
