import { Code, ConnectError } from '@connectrpc/connect'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { type ReactNode, useState } from 'react'
import { useNavigate } from 'react-router'
import { actorName } from '../shared/actors'
import { Conflict } from '../shared/Conflict'
import { problemsOf } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Failure } from '../shared/states'
import { useLeaveGuard } from '../shared/useLeaveGuard'
import { useText } from '../text'
import { DocumentForm } from './DocumentForm'
import { type Editor, useDraft } from './useDraft'

// Stored is a policy or an exemption as central keeps it.
export interface Stored {
  name: string
  document: string
  revision: bigint
  updatedBy: string
}

interface Props {
  stored: Stored
  // Where it is shown.
  url: string
  // What queries of such documents begin with.
  queryKey: string
  save: (document: string, revision: bigint) => Promise<unknown>
  // Asks for what somebody else saved in the meantime.
  newest: () => Promise<Stored | undefined>
  tools?: (editor: Editor) => ReactNode
  children: (editor: Editor) => ReactNode
}

// EditDocument is the page that changes a policy or an exemption.
export function EditDocument({ stored, url, queryKey, save, newest, tools, children }: Props) {
  const { t } = useText()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const editor = useDraft(stored.document)
  const leave = useLeaveGuard(editor.changed)
  const [theirs, setTheirs] = useState<Stored>()
  const show = () => {
    void queries.invalidateQueries({ queryKey: [queryKey] })
    leave.freely(() => navigate(url))
  }
  const saving = useMutation({
    mutationFn: (revision: bigint) => save(editor.draft.text, revision),
    onSuccess: () => {
      void message.success(t('shared.saved'))
      show()
    },
    onError: async (error) => {
      if (ConnectError.from(error).code === Code.Aborted) setTheirs(await newest())
    },
  })
  const overwrite = () => {
    setTheirs(undefined)
    saving.mutate(theirs!.revision)
  }
  return (
    <>
      <PageHead title={t('documents.edit', { name: stored.name })}>
        {tools?.(editor)}
        <Button type="primary" disabled={editor.broken || !editor.changed} loading={saving.isPending} onClick={() => saving.mutate(stored.revision)}>
          {t('shared.save')}
        </Button>
      </PageHead>
      {saving.isError && !theirs && <Failure error={saving.error} />}
      <DocumentForm editor={editor} problems={problemsOf(saving.error)}>
        {children(editor)}
      </DocumentForm>
      {theirs && (
        <Conflict
          name={theirs.name}
          hint={t('documents.conflictHint', { name: actorName(theirs.updatedBy) })}
          theirs={theirs.document}
          mine={editor.draft.text}
          onTheirs={show}
          onMine={overwrite}
        />
      )}
      {leave.dialog}
    </>
  )
}
