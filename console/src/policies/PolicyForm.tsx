import { Alert, Card, Col, Flex, Form, Row, Switch, Typography } from 'antd'
import type { ReactNode } from 'react'
import type { FieldProblem } from '../api/portcullis/v1/policies_pb'
import { useText } from '../text'
import { YAMLEditor } from '../shared/YAMLEditor'
import { EffectFields } from './EffectFields'
import { EditorProvider, TextField, useEditor } from './fields'
import { PrivilegeFields } from './PrivilegeFields'
import { RiskFields } from './RiskFields'
import { ScopeFields } from './ScopeFields'
import type { Editor } from './useDraft'

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card title={title} size="small" style={{ marginBottom: 16 }}>
      {children}
    </Card>
  )
}

function Basics({ fixedName }: { fixedName: boolean }) {
  const { t } = useText()
  const { get, set } = useEditor()
  return (
    <>
      <TextField path={['metadata', 'name']} label={t('policies.name')} max={128} disabled={fixedName} />
      <TextField path={['spec', 'description']} label={t('policies.description')} max={256} area />
      <Flex gap={8} align="center">
        <Switch checked={get(['spec', 'enabled']) === true} aria-label={t('policies.enabled')} onChange={(on) => set(['spec', 'enabled'], on)} />
        <Typography.Text>{t('policies.enabled')}</Typography.Text>
      </Flex>
    </>
  )
}

interface Props {
  editor: Editor
  // Of a policy that exists: its name says which one it is.
  fixedName: boolean
  // What central found wrong with the draft.
  problems: FieldProblem[]
}

// PolicyForm is the form and the YAML beside it, both of one draft.
export function PolicyForm({ editor, fixedName, problems }: Props) {
  const { t } = useText()
  const template = editor.get(['spec', 'template'])
  const marks = editor.broken ? editor.draft.mistakes : problems.filter((problem) => problem.line > 0)
  return (
    <EditorProvider value={editor}>
      <Row gutter={[16, 16]}>
        <Col xs={24} xl={13}>
          {editor.broken && (
            <Alert
              type="warning"
              showIcon
              style={{ marginBottom: 16 }}
              title={t('policies.broken')}
              description={editor.draft.mistakes.map(({ line, message }) => t('policies.brokenLine', { line, message })).join(' ')}
            />
          )}
          <Form component="div" layout="vertical" disabled={editor.broken}>
            <Part title={t('policies.basics')}>
              <Basics fixedName={fixedName} />
            </Part>
            <Part title={t('policies.effect')}>
              <EffectFields />
            </Part>
            {template === 'RiskyImage' && (
              <Part title={t('policies.risk')}>
                <RiskFields />
              </Part>
            )}
            {template === 'PrivilegedStart' && (
              <Part title={t('policies.privileges')}>
                <PrivilegeFields />
              </Part>
            )}
            <Part title={t('policies.scope')}>
              <ScopeFields />
            </Part>
          </Form>
        </Col>
        <Col xs={24} xl={11}>
          <div style={{ position: 'sticky', top: 72 }}>
            <Typography.Title level={2} style={{ fontSize: 16, marginTop: 0 }}>
              {t('policies.document')}
            </Typography.Title>
            <YAMLEditor label={t('policies.document')} value={editor.draft.text} marks={marks} onChange={editor.write} />
          </div>
        </Col>
      </Row>
    </EditorProvider>
  )
}
