import { Alert, Flex } from 'antd'
import { Link } from 'react-router'
import type { GetPolicyOverviewResponse } from '../api/portcullis/v1/policies_pb'
import { Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'

// Attention lists what will bite soon if nobody does anything.
export function Attention({ policies, rejected }: { policies: GetPolicyOverviewResponse; rejected: number }) {
  const { t } = useText()
  const time = useTime()
  if (policies.ending.length + policies.expiring.length + rejected === 0) return <Nothing says={t('overview.calm')} />
  return (
    <Flex vertical gap={8}>
      {rejected > 0 && (
        <Alert type="error" showIcon title={<Link to="/nodes?state=rejected">{t('overview.refused', { count: rejected })}</Link>} />
      )}
      {policies.ending.map((policy) => (
        <Alert
          key={policy.name}
          type="warning"
          showIcon
          title={<Link to={`/policies/${encodeURIComponent(policy.name)}`}>{t('overview.ending', { name: policy.name, time: time(policy.enforceAt) })}</Link>}
          description={policy.alerted > 0n ? t('overview.endingHits', { count: Number(policy.alerted) }) : undefined}
        />
      ))}
      {policies.expiring.map((exemption) => (
        <Alert
          key={exemption.name}
          type="info"
          showIcon
          title={<Link to={`/exemptions/${encodeURIComponent(exemption.name)}`}>{t('overview.expiring', { name: exemption.name, time: time(exemption.expireTime) })}</Link>}
        />
      ))}
    </Flex>
  )
}
