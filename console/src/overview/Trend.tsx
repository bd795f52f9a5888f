import { theme, Typography } from 'antd'
import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import { init, use as register } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useRef } from 'react'
import { Link, useNavigate } from 'react-router'
import type { EventDay } from '../api/portcullis/v1/events_pb'
import { useAppearance } from '../app/appearance'
import { useText } from '../text'
import './trend.css'

register([LineChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer])

function useOption(days: EventDay[]) {
  const { t } = useText()
  const { dark } = useAppearance()
  const { token } = theme.useToken()
  const line = (name: string, color: string, symbol: string, value: (day: EventDay) => bigint) => ({
    name,
    type: 'line' as const,
    color,
    symbol,
    symbolSize: 9,
    data: days.map((day) => Number(value(day))),
  })
  return {
    animation: false,
    textStyle: { fontFamily: token.fontFamily },
    grid: { left: 8, right: 16, top: 40, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: token.colorText } },
    // Drawn on the canvas: as HTML it would be styled by attributes.
    tooltip: { trigger: 'axis' as const, renderMode: 'richText' as const, backgroundColor: token.colorBgElevated, textStyle: { color: token.colorText } },
    xAxis: { type: 'category' as const, data: days.map((day) => day.date.slice(5)), axisLabel: { color: token.colorTextDescription }, triggerEvent: true },
    yAxis: { type: 'value' as const, minInterval: 1, axisLabel: { color: token.colorTextDescription }, splitLine: { lineStyle: { color: token.colorBorderSecondary } } },
    series: [
      line(t('overview.blocked'), dark ? '#ff7875' : '#cf1322', 'circle', (day) => day.blocked),
      line(t('overview.alerted'), dark ? '#ffc53d' : '#ad6800', 'triangle', (day) => day.alerted),
    ],
  }
}

// Trend draws the days. The table says the same to who cannot see or click the drawing.
export function Trend({ days }: { days: EventDay[] }) {
  const { t, locale } = useText()
  const navigate = useNavigate()
  const element = useRef<HTMLDivElement>(null)
  const option = useOption(days)
  useEffect(() => {
    const chart = init(element.current)
    chart.setOption(option)
    chart.getZr().on('click', ({ offsetX, offsetY }) => {
      const [index] = chart.convertFromPixel({ seriesIndex: 0 }, [offsetX, offsetY]) as [number]
      const day = days[index]
      if (day) void navigate(dayURL(day))
    })
    const observer = new ResizeObserver(() => chart.resize())
    observer.observe(element.current!)
    return () => {
      observer.disconnect()
      chart.dispose()
    }
  }, [option, days, navigate])
  return (
    <>
      <div ref={element} style={{ height: 260 }} aria-hidden />
      <Typography.Text type="secondary">{t('overview.trendHint')}</Typography.Text>
      <div className="trend">
        <table>
          <caption>{t('overview.trend')}</caption>
          <thead>
            <tr>
              <th scope="col">{t('overview.day')}</th>
              <th scope="col">{t('overview.blocked')}</th>
              <th scope="col">{t('overview.alerted')}</th>
            </tr>
          </thead>
          <tbody>
            {days.map((day) => (
              <tr key={day.date}>
                <th scope="row">
                  <Link to={dayURL(day)}>{day.date}</Link>
                </th>
                <td>{day.blocked.toLocaleString(locale)}</td>
                <td>{day.alerted.toLocaleString(locale)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

function dayURL({ date }: EventDay) {
  return `/events?from=${date}&to=${date}`
}
