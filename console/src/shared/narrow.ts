// narrow is a column that cuts off what is too long for it. A table is as wide as its content asks, which the width
// of a column does not limit: one long text would push the columns beside it out of sight.
export function narrow(width: number) {
  return { width, ellipsis: true, onCell: () => ({ style: { maxWidth: width } }) }
}
