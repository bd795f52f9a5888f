import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Card, Col, Row } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { CreateDocument } from '../documents/CreateDocument'
import { PageHead } from '../shared/PageHead'
import { Needs } from '../shared/states'
import { useText } from '../text'
import { policyURL } from './links'
import { PolicyFields } from './PolicyFields'
import { PreviewButton } from './PreviewButton'
import { starters } from './starters'
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
                <Button type="primary" aria-label={`${t('shared.create')}: ${word('template', template)}`} onClick={() => onChosen(template)}>
                  {t('shared.create')}
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
  return (
    <CreateDocument
      title={t('policies.new')}
      created={t('policies.created')}
      initial={starters[template]}
      queryKey="policies"
      create={async (document) => policyURL((await central.policies.createPolicy({ document })).policy!.name)}
      tools={(editor) => <PreviewButton document={editor.draft.text} disabled={editor.broken} />}
    >
      {() => <PolicyFields fixedName={false} />}
    </CreateDocument>
  )
}

export function NewPolicyPage() {
  const [template, setTemplate] = useState<Template>()
  return <Needs role={Role.EDITOR}>{template ? <Creation template={template} /> : <TemplateChoice onChosen={setTemplate} />}</Needs>
}
