import { Alert, Card, Col, Form, Row, Typography } from 'antd'
import type { ReactNode } from 'react'
import type { FieldProblem } from '../api/portcullis/v1/policies_pb'
import { YAMLEditor } from '../shared/YAMLEditor'
import { useText } from '../text'
import { EditorProvider } from './fields'
import type { Editor } from './useDraft'

export function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card title={title} size="small" style={{ marginBottom: 16 }}>
      {children}
    </Card>
  )
}

interface Props {
  editor: Editor
  // What central found wrong with the draft.
  problems: FieldProblem[]
  children: ReactNode
}

// DocumentForm is the fields of a form and the YAML beside them, both of one draft.
export function DocumentForm({ editor, problems, children }: Props) {
  const { t } = useText()
  const marks = editor.broken ? editor.draft.mistakes : problems.filter((problem) => problem.line > 0)
  return (
    <EditorProvider value={{ ...editor, problems }}>
      <Row gutter={[16, 16]}>
        <Col xs={24} xl={13}>
          {editor.broken && (
            <Alert
              type="warning"
              showIcon
              style={{ marginBottom: 16 }}
              title={t('documents.broken')}
              description={editor.draft.mistakes.map(({ line, message }) => t('documents.brokenLine', { line, message })).join(' ')}
            />
          )}
          <Form component="div" layout="vertical" disabled={editor.broken}>
            {children}
          </Form>
        </Col>
        <Col xs={24} xl={11}>
          <div style={{ position: 'sticky', top: 72 }}>
            <Typography.Title level={2} style={{ fontSize: 16, marginTop: 0 }}>
              {t('documents.document')}
            </Typography.Title>
            <YAMLEditor label={t('documents.document')} value={editor.draft.text} marks={marks} onChange={editor.write} />
          </div>
        </Col>
      </Row>
    </EditorProvider>
  )
}
