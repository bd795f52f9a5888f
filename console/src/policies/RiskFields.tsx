import { Radio, Typography } from 'antd'
import { useText } from '../text'
import { ChoiceField, Field, ListField, Section, useEditor } from '../documents/fields'
import { VulnerabilityFields } from './VulnerabilityFields'
import { vocabulary } from './vocabulary'

const risk = ['spec', 'risk']

function Unscanned() {
  const { t, word } = useText()
  const { get, set } = useEditor()
  const value = get(['spec', 'unscanned'])
  const options = [{ value: '', label: t('policies.unscannedDefault') }, ...['Allow', 'Alert', 'Block'].map((name) => ({ value: name, label: word('unscanned', name) }))]
  return (
    <Field label={t('policies.unscanned')}>
      <Radio.Group aria-label={t('policies.unscanned')} options={options} value={typeof value === 'string' ? value : ''} onChange={({ target }) => set(['spec', 'unscanned'], target.value || undefined)} />
    </Field>
  )
}

export function RiskFields() {
  const { t } = useText()
  return (
    <>
      <Typography.Paragraph type="secondary">{t('policies.riskHint')}</Typography.Paragraph>
      <Section path={[...risk, 'vulnerabilities']} label={t('policies.vulnerabilities')} empty={{ severities: ['Critical', 'High'] }}>
        <VulnerabilityFields />
      </Section>
      <Section path={[...risk, 'malware']} label={t('policies.malware')} empty={{}}>
        <ChoiceField path={[...risk, 'malware', 'types']} label={t('policies.malwareTypes')} hint={t('policies.allWhenEmpty')} kind="malware" names={vocabulary.malwareTypes} />
        <ListField path={[...risk, 'malware', 'md5']} label={t('policies.md5')} />
        <ListField path={[...risk, 'malware', 'sha256']} label={t('policies.sha256')} />
      </Section>
      <Section path={[...risk, 'secrets']} label={t('policies.secrets')} empty={{}}>
        <ChoiceField path={[...risk, 'secrets', 'levels']} label={t('policies.levels')} hint={t('policies.allWhenEmpty')} kind="severity" names={vocabulary.severities} />
        <ChoiceField path={[...risk, 'secrets', 'types']} label={t('policies.malwareTypes')} hint={t('policies.allWhenEmpty')} kind="secret" names={vocabulary.secretTypes} />
      </Section>
      <Unscanned />
    </>
  )
}
