import { InboxOutlined, UploadOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Flex, Form, Input, Modal, Progress, Typography, Upload } from 'antd'
import { useId, useRef, useState } from 'react'
import { Link } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { useSession } from '../session/session'
import { describe } from '../shared/errors'
import { useText } from '../text'
import { imageURL, shortID } from './links'
import { maxReport, type Uploaded, uploadReport } from './upload'

interface Sent {
  key: string
  name: string
  percent: number
  error?: Error
  uploaded?: Uploaded
  cancel?: () => void
}

// useUploads sends reports one after the other, as central reads them.
function useUploads() {
  const { t } = useText()
  const queries = useQueryClient()
  const [sent, setSent] = useState<Sent[]>([])
  const line = useRef<Promise<unknown>>(Promise.resolve())
  const change = (key: string, changed: Partial<Sent>) => setSent((before) => before.map((one) => (one.key === key ? { ...one, ...changed } : one)))
  const send = (key: string, file: File, image: string) => {
    const abort = new AbortController()
    const entry = { key, name: file.name, percent: 0, cancel: () => abort.abort() }
    if (file.size > maxReport) {
      setSent((before) => [{ ...entry, cancel: undefined, error: new Error(t('images.tooLarge')) }, ...before])
      return
    }
    setSent((before) => [entry, ...before])
    const upload = async () => {
      try {
        const uploaded = await uploadReport(file, { image, signal: abort.signal, onProgress: (percent) => change(key, { percent }) })
        change(key, { uploaded, cancel: undefined })
        void queries.invalidateQueries({ queryKey: ['images'] })
      } catch (error) {
        change(key, { error: error as Error, cancel: undefined })
      }
    }
    line.current = line.current.then(upload)
  }
  return { sent, send, forget: () => setSent((before) => before.filter(({ cancel }) => cancel)) }
}

function Outcome({ one: { name, percent, error, uploaded, cancel } }: { one: Sent }) {
  const { t } = useText()
  if (error) return <Alert type="error" showIcon title={t('images.notUploaded', { name })} description={describe(error, t)} />
  if (!uploaded) {
    return (
      <Flex gap={8} align="center">
        <span style={{ overflowWrap: 'anywhere' }}>{name}</span>
        <Progress percent={percent} aria-label={t('images.progress', { name })} style={{ flex: 1, minWidth: 80, margin: 0 }} />
        <Button size="small" onClick={cancel}>
          {t('shared.cancel')}
        </Button>
      </Flex>
    )
  }
  const { images, warnings = [] } = uploaded
  const about = (
    <Flex vertical gap={4} style={{ overflowWrap: 'anywhere' }}>
      {images.length === 0 ? t('images.aboutNone') : t('images.about', { count: images.length })}
      {images.slice(0, 5).map((id) => (
        <Link key={id} to={imageURL(id)}>
          {shortID(id)}
        </Link>
      ))}
      {warnings.map((warning) => (
        <span key={warning}>{t('images.warning', { warning })}</span>
      ))}
    </Flex>
  )
  return <Alert type={warnings.length > 0 ? 'warning' : 'success'} showIcon title={t('images.uploaded', { name })} description={about} />
}

// UploadButton takes reports for the image, or for whatever images they are about.
export function UploadButton({ image: about = '' }: { image?: string }) {
  const { t } = useText()
  const { may } = useSession()
  const id = useId()
  const [open, setOpen] = useState(false)
  const [image, setImage] = useState(about)
  const { sent, send, forget } = useUploads()
  if (!may(Role.EDITOR)) return null
  const close = () => {
    setOpen(false)
    forget()
  }
  return (
    <>
      <Button type="primary" icon={<UploadOutlined />} onClick={() => setOpen(true)}>
        {t('images.upload')}
      </Button>
      <Modal open={open} width={640} title={t('images.upload')} footer={null} onCancel={close}>
        <Flex vertical gap={16}>
          <Form layout="vertical">
            <Form.Item label={t('images.ofImage')} htmlFor={id} extra={t('images.ofImageHint')} style={{ margin: 0 }}>
              <Input id={id} allowClear maxLength={512} value={image} onChange={({ target }) => setImage(target.value.trim())} />
            </Form.Item>
          </Form>
          <Upload.Dragger
            multiple
            accept=".json,application/json"
            showUploadList={false}
            beforeUpload={(file) => {
              send(file.uid, file, image)
              return false
            }}
          >
            <InboxOutlined style={{ fontSize: 32 }} />
            <div>{t('images.drop')}</div>
            <Typography.Text type="secondary">{t('images.forms')}</Typography.Text>
          </Upload.Dragger>
          <Flex vertical gap={8} aria-live="polite">
            {sent.map((one) => (
              <Outcome key={one.key} one={one} />
            ))}
          </Flex>
        </Flex>
      </Modal>
    </>
  )
}
