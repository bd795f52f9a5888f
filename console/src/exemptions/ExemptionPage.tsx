import { useQuery } from '@tanstack/react-query'
import { Button, Card, Descriptions } from 'antd'
import { Link, useNavigate, useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Exemption } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { list } from '../documents/draft'
import { policyURL } from '../policies/links'
import { useSession } from '../session/session'
import { actorName } from '../shared/actors'
import { PageHead } from '../shared/PageHead'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { DeleteButton } from './DeleteButton'
import { exemptionURL } from './links'
import { StateTag } from './StateTag'

function Facts({ exemption }: { exemption: Exemption }) {
  const { t } = useText()
  const time = useTime()
  const { reason, author, spec } = exemption
  const lines = (name: string) => {
    const items = list(spec, [name])
    return items.length > 0 ? items.map((item) => <div key={item}>{name === 'policies' ? <Link to={policyURL(item)}>{item}</Link> : item}</div>) : t('exemptions.all')
  }
  const items = [
    { key: 'state', label: t('exemptions.state'), children: <StateTag exemption={exemption} /> },
    { key: 'expires', label: t('exemptions.expires'), children: time(exemption.expireTime) },
    { key: 'reason', label: t('exemptions.reason'), children: reason },
    { key: 'author', label: t('exemptions.author'), children: author },
    { key: 'images', label: t('exemptions.images'), children: <div>{lines('images')}</div> },
    { key: 'findings', label: t('exemptions.findings'), children: <div>{lines('findings')}</div> },
    { key: 'policies', label: t('exemptions.policies'), children: <div>{lines('policies')}</div> },
    { key: 'changed', label: t('exemptions.changed'), children: t('exemptions.by', { time: time(exemption.updateTime), name: actorName(exemption.updatedBy) }) },
  ]
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} styles={{ content: { overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' } }} />
}

export function ExemptionPage() {
  const { name = '' } = useParams()
  const { t } = useText()
  const { may } = useSession()
  const navigate = useNavigate()
  // Those that list policies and exemptions are told of a change together: a policy shows what exempts from it.
  const query = useQuery({ queryKey: ['policies', 'exemption', name], queryFn: () => central.policies.getExemption({ name }) })
  return (
    <Answer of={query}>
      {({ exemption }) => (
        <>
          <PageHead title={name}>
            {may(Role.EDITOR) && (
              <>
                <Button type="primary" onClick={() => void navigate(exemptionURL(name) + '/edit')}>
                  {t('shared.edit')}
                </Button>
                <DeleteButton exemption={exemption!} onDeleted={() => void navigate('/exemptions')} />
              </>
            )}
          </PageHead>
          <Card style={{ marginBottom: 16 }}>
            <Facts exemption={exemption!} />
          </Card>
          <Card title={t('documents.document')}>
            <pre style={{ margin: 0, overflow: 'auto' }}>{exemption!.document}</pre>
          </Card>
        </>
      )}
    </Answer>
  )
}
