import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import type { ReactNode } from 'react'
import { useNavigate } from 'react-router'
import { problemsOf } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Failure } from '../shared/states'
import { useLeaveGuard } from '../shared/useLeaveGuard'
import { useText } from '../text'
import { DocumentForm } from './DocumentForm'
import { type Editor, useDraft } from './useDraft'

interface Props {
  title: string
  // What is said when it is made.
  created: string
  initial: string
  // What queries of such documents begin with.
  queryKey: string
  // Returns where the new one is shown.
  create: (document: string) => Promise<string>
  tools?: (editor: Editor) => ReactNode
  children: (editor: Editor) => ReactNode
}

// CreateDocument is the page that makes a policy or an exemption.
export function CreateDocument({ title, created, initial, queryKey, create, tools, children }: Props) {
  const { t } = useText()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const editor = useDraft(initial)
  const leave = useLeaveGuard(editor.changed)
  const creation = useMutation({
    mutationFn: () => create(editor.draft.text),
    onSuccess: (url) => {
      void message.success(created)
      void queries.invalidateQueries({ queryKey: [queryKey] })
      leave.freely(() => navigate(url))
    },
  })
  return (
    <>
      <PageHead title={title}>
        {tools?.(editor)}
        <Button type="primary" disabled={editor.broken} loading={creation.isPending} onClick={() => creation.mutate()}>
          {t('shared.create')}
        </Button>
      </PageHead>
      {creation.isError && <Failure error={creation.error} />}
      <DocumentForm editor={editor} problems={problemsOf(creation.error)}>
        {children(editor)}
      </DocumentForm>
      {leave.dialog}
    </>
  )
}
