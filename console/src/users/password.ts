// As central's own: without what is easily taken for something else.
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

// oneTimePassword has 130 random bits.
export function oneTimePassword() {
  return [...crypto.getRandomValues(new Uint8Array(26))].map((byte) => letters[byte % letters.length]).join('')
}
