import { diffLines } from 'diff'
import { useText } from '../text'
import './diff.css'

// Diff shows what one text became, line by line.
export function Diff({ before, after }: { before: string; after: string }) {
  const { t } = useText()
  return (
    <pre className="diff">
      {diffLines(before, after).map((part, index) => {
        if (part.added) return <ins key={index} aria-label={t('shared.added')}>{prefix('+ ', part.value)}</ins>
        if (part.removed) return <del key={index} aria-label={t('shared.removed')}>{prefix('- ', part.value)}</del>
        return <span key={index}>{prefix('  ', part.value)}</span>
      })}
    </pre>
  )
}

function prefix(sign: string, lines: string) {
  return lines.replace(/^(?=[^])/gm, sign).replace(new RegExp(`\n${sign.replace('+', '\\+')}$`), '\n')
}
