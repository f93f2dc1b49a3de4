/** A listener whose errors stop nobody else: they go to whoever hears of uncaught ones. */
export const guarded =
  <A extends unknown[]>(listener: (...args: A) => void) =>
  (...args: A): void => {
    try {
      listener(...args)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
