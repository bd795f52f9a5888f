// Texts are the strings of one page by key: English, then Simplified Chinese. {{name}} stands for a value.
// Keys that end in _one and _other are two forms of one text, chosen by count.
export type Texts = Record<string, readonly [english: string, chinese: string]>
