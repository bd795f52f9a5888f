import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Card, Col, Row } from 'antd'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { problemsOf } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Failure, Needs } from '../shared/states'
import { useLeaveGuard } from '../shared/useLeaveGuard'
import { useText } from '../text'
import { starters } from './draft'
import { policyURL } from './links'
import { PolicyForm } from './PolicyForm'
import { PreviewButton } from './PreviewButton'
import { useDraft } from './useDraft'
import type { Template } from './vocabulary'

// usePrivilegedPolicy finds the one policy against privileged starts that there may be.
function usePrivilegedPolicy() {
  const found = useQuery({ queryKey: ['policies', 'privileged'], queryFn: () => central.policies.listPolicies({ template: 'PrivilegedStart', pageSize: 1 }) })
  return found.data?.policies[0]?.name
}

function TemplateChoice({ onChosen }: { onChosen: (template: Template) => void }) {
  const { t, word } = useText()
  const privileged = usePrivilegedPolicy()
  return (
    <>
      <PageHead title={t('policies.new')} />
      <p>{t('policies.chooseTemplate')}</p>
      <Row gutter={[16, 16]}>
        {(['RiskyImage', 'PrivilegedStart'] as const).map((template) => (
          <Col key={template} xs={24} md={12}>
            <Card title={word('template', template)} style={{ height: '100%' }}>
              <p>{t(`policies.template.${template}Hint`)}</p>
              {template === 'PrivilegedStart' && privileged ? (
                <Alert type="info" showIcon title={<Link to={policyURL(privileged) + '/edit'}>{t('policies.privilegedExists', { name: privileged })}</Link>} />
              ) : (
                <Button type="primary" aria-label={`${t('policies.create')}: ${word('template', template)}`} onClick={() => onChosen(template)}>
                  {t('policies.create')}
                </Button>
              )}
            </Card>
          </Col>
        ))}
      </Row>
    </>
  )
}

function Creation({ template }: { template: Template }) {
  const { t } = useText()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const editor = useDraft(starters[template])
  const leave = useLeaveGuard(editor.changed)
  const create = useMutation({
    mutationFn: () => central.policies.createPolicy({ document: editor.draft.text }),
    onSuccess: ({ policy }) => {
      void message.success(t('policies.created'))
      void queries.invalidateQueries({ queryKey: ['policies'] })
      leave.freely(() => navigate(policyURL(policy!.name)))
    },
  })
  return (
    <>
      <PageHead title={t('policies.new')}>
        <PreviewButton document={editor.draft.text} disabled={editor.broken} />
        <Button type="primary" disabled={editor.broken} loading={create.isPending} onClick={() => create.mutate()}>
          {t('policies.create')}
        </Button>
      </PageHead>
      {create.isError && <Failure error={create.error} />}
      <PolicyForm editor={editor} fixedName={false} problems={problemsOf(create.error)} />
      {leave.dialog}
    </>
  )
}

export function NewPolicyPage() {
  const [template, setTemplate] = useState<Template>()
  return <Needs role={Role.EDITOR}>{template ? <Creation template={template} /> : <TemplateChoice onChosen={setTemplate} />}</Needs>
}
